"""``/metrics`` and ``/readyz``, and the dashboard and alerts in docs/grafana that read them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families

from dicom_node import echoes
from dicom_node.db import EchoRow, now
from dicom_node.states import DeliveryState
from tests.web.conftest import Jobs, served
from tests.web.history import write_heartbeats
from worklist.app import create_app

if TYPE_CHECKING:
    from collections.abc import Callable

    from dicom_node.node import Node

GRAFANA = Path(__file__).resolve().parents[2] / "docs" / "grafana"
ONE_DESTINATION = "destinations: [{name: PACS, ae_title: ARCHIVE, host: 127.0.0.1, port: 1}]\n"
NAME = re.compile(r"bone_age_node_[a-z0-9_]+")


@pytest.fixture
def busy(
    make_node: Callable[[str], Node], client_of: Callable[[Node], httpx.Client]
) -> httpx.Client:
    """Return a client of a node that has done something of everything."""
    node = make_node(ONE_DESTINATION)
    client = client_of(node)
    make = Jobs(node)
    make.rejected("no hand of Secret^Name", PatientName="Secret^Name", PatientID="SECRET-1")
    for _ in range(2):
        job_id, deliveries = make.reported(100.0, destinations=("PACS",), PatientName="Secret^Name")
    make.deliver(deliveries[0], DeliveryState.SENT)
    make.settle(job_id)
    write_heartbeats(node)
    with node.database.write() as session:
        session.add(
            EchoRow(destination="PACS", started_at=now(), ended_at=now(), failures=0, steps=[])
        )
    with node.database.read() as session:
        assert set(echoes.last(session)) == {"PACS"}
    return client


def samples_of(text: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Return every sample by name."""
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def test_what_a_monitor_reads(busy: httpx.Client) -> None:
    answer = busy.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert "SECRET" not in answer.text.upper()
    samples = samples_of(answer.text)
    jobs = {labels["state"]: value for labels, value in samples["bone_age_node_jobs_total"]}
    assert (jobs["received"], jobs["reported"], jobs["rejected"], jobs["sent"]) == (3, 2, 1, 1)
    assert jobs["failed"] == 0
    waiting = samples["bone_age_node_deliveries_waiting"]
    assert waiting == [({"destination": "PACS"}, 1.0)]
    buckets = samples["bone_age_node_delivery_latency_seconds_bucket"]
    assert buckets[-1] == ({"destination": "PACS", "le": "+Inf"}, 1.0)
    assert samples["bone_age_node_delivery_latency_seconds_count"][0][1] == 1.0
    assert samples["bone_age_node_destination_up"][0][1] == 1.0
    assert samples["bone_age_node_broker_up"][0][1] == 0.0, "none runs in this test"
    assert {value for _, value in samples["bone_age_node_processes"]} == {1.0}
    assert samples["bone_age_node_disk_free_bytes"][0][1] > 0


def test_open_metrics(busy: httpx.Client) -> None:
    answer = busy.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    families = parse_open(answer.text)  # type: ignore[no-untyped-call]
    assert "bone_age_node_build" in {family.name for family in families}


def test_the_names_keep_to_the_conventions(busy: httpx.Client) -> None:
    """Prometheus's own linter; without it, the parser above has read them at least."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed here (Debian's package prometheus)")
    text = busy.get("/metrics").text
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_only_this_machine_may_ask(node: Node) -> None:
    """A client of another address, as the server would name it."""
    app = create_app(node)
    outside = httpx.ASGITransport(app=app, client=("192.0.2.7", 5000))
    with served(app) as client:
        assert client.get("/metrics").status_code == 200

    async def ask() -> int:
        async with httpx.AsyncClient(transport=outside, base_url="http://127.0.0.1") as other:
            return (await other.get("/metrics")).status_code

    import asyncio

    assert asyncio.run(ask()) == 403


def test_grafana_and_alerts_ask_for_what_there_is(busy: httpx.Client) -> None:
    there = set(samples_of(busy.get("/metrics").text))
    # Of these there is a sample only while the broker answers, and after the first children.
    there |= {"bone_age_node_queue_depth", "bone_age_node_age_difference_median_months"}
    dashboard = json.loads((GRAFANA / "bone-age-node.json").read_text("utf-8"))
    targets = [target for panel in dashboard["panels"] for target in panel.get("targets", [])]
    rules = [
        rule
        for group in yaml.safe_load((GRAFANA / "alerts.yaml").read_text("utf-8"))["groups"]
        for rule in group["rules"]
    ]
    asked = {name for item in targets + rules for name in NAME.findall(item["expr"])}
    assert asked - there == set()
    assert len(asked) > 12
    assert {target["datasource"]["uid"] for target in targets} == {"${datasource}"}
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    documented = NAME.findall((GRAFANA.parent / "monitoring.md").read_text("utf-8"))
    assert there - {re.sub(r"_(bucket|sum|count)$", "", name) for name in there} <= {
        f"{name}{end}" for name in documented for end in ("_bucket", "_sum", "_count")
    }
    assert {re.sub(r"_(bucket|sum|count)$", "", name) for name in there} - set(documented) == set()


def test_the_alert_rules_are_valid() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed here (Debian's package prometheus)")
    done = subprocess.run(
        [promtool, "check", "rules", str(GRAFANA / "alerts.yaml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_ready_once_the_tables_are_there(make_node: Callable[[str], Node]) -> None:
    from dicom_node import migrations

    node = make_node("")
    with served(create_app(node)) as client:
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["ready"]) == (503, False)
        assert "db upgrade" in answer.json()["reason"]
        migrations.upgrade(node.config)
        assert client.get("/healthz").status_code == 503, "no other part runs"
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["ready"]) == (200, True)
