"""The list: filters, orders, pages, the privacy switch, what is live, and the same as JSON."""

from __future__ import annotations

import json
import re
import signal
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, get_args

import httpx
import pytest

from dicom_node import deliveries
from dicom_node.db import JobRow, now
from dicom_node.growth import Determination
from dicom_node.jobs import name_key
from dicom_node.states import DeliveryState, JobState
from tests.peers import free_port, is_listening
from tests.web.conftest import let_in
from tests.web.test_worklist import COMMAND_SECONDS, Page, command
from worklist import live, sessions
from worklist.__main__ import GRACE_SECONDS
from worklist.access import Role
from worklist.cookies import SESSION
from worklist.filters import DETERMINATIONS, READY, FilterError, JobQuery, read
from worklist.listing import PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dicom_node.node import Node
    from tests.web.conftest import Jobs

PATIENT = {"PatientName": "Phantom^Ada", "PatientID": "PH-1", "AccessionNumber": "A-77"}
STEP_SECONDS = 20.0


def listed(html: str) -> list[int]:
    """Return the jobs of a page in their order."""
    return [int(number) for number in re.findall(r'<tr role="row" data-job="(\d+)"', html)]


def jobs_of(client: httpx.Client, address: str) -> list[int]:
    answer = client.get(address)
    assert answer.status_code == 200, answer.text
    return listed(answer.text)


# --- filters -----------------------------------------------------------------------------------


def test_each_filter(make: Jobs, client: httpx.Client, node: Node) -> None:
    failed, (lost,) = make.reported(120, destinations=("PACS",), **PATIENT)
    make.deliver(lost, DeliveryState.REFUSED, "SR: SOP class not supported")
    make.settle(failed)
    sent, (arrived,) = make.reported(90, destinations=("ARCHIVE",), PatientName="Other^Bea")
    make.deliver(arrived, DeliveryState.SENT)
    make.settle(sent)
    rejected = make.rejected("no hand", PatientName="PHANTOM^Cy")
    with node.database.write() as session:
        session.get_one(JobRow, sent).determination = "advanced"
        session.get_one(JobRow, rejected).created_at -= timedelta(days=30)
    for query, wanted in {
        "state=failed": [failed],
        "state=rejected&state=sent": [sent, rejected],
        "determination=advanced&determination=delayed": [sent],
        "delivery=refused&delivery=exhausted": [failed],
        "destination=ARCHIVE": [sent],
        "destination=ARCHIVE&delivery=refused": [],
        "caller=CR_ROOM_1": [sent, failed, rejected],
        "caller=CR_ROOM_9": [],
        "days=7": [sent, failed],
        "until=2020-01-01": [],
        "q=phantom": [failed, rejected],
        "q=phantom ada": [failed],
        "q=PH-1": [failed],
        "q=A-77": [failed],
        "q=2.25.1.1": [failed],
        "q=ada": [],
        "q=phantom&state=rejected&days=7": [],
        "sort=oldest": [rejected, failed, sent],
        "sort=bone-age-lowest": [sent, failed],
        "": [sent, failed, rejected],
    }.items():
        assert jobs_of(client, f"/?{query}") == wanted, query


def test_the_ready_views(make: Jobs, client: httpx.Client) -> None:
    rejected = make.rejected("no hand")
    failed, (lost,) = make.reported(120, destinations=("PACS",))
    make.deliver(lost, DeliveryState.EXHAUSTED)
    make.settle(failed)
    sent, _ = make.reported(100)
    page = Page(client.get("/").text)
    links = {name: f"/?{ready.query()}".rstrip("?") for name, ready in READY.items()}
    assert set(links.values()) <= set(page.links())
    assert jobs_of(client, links["Needs attention"]) == [failed, rejected]
    assert jobs_of(client, links["Failed sends of the last 7 days"]) == [failed]
    assert jobs_of(client, links["Today"]) == [sent, failed, rejected]


def test_what_is_sent_again_is_no_failed_send(make: Jobs, client: httpx.Client, node: Node) -> None:
    job_id, lost = make.reported(120, destinations=("PACS", "ARCHIVE"))
    for delivery_id in lost:
        make.deliver(delivery_id, DeliveryState.EXHAUSTED)
    make.settle(job_id)
    failed = "/?delivery=refused&delivery=exhausted"
    for destination, wanted in (("PACS", [job_id]), ("ARCHIVE", [])):
        assert jobs_of(client, failed) == [job_id]
        with node.database.write() as session:
            assert deliveries.retry(session, job_id, "operator", destination)
            assert session.get_one(JobRow, job_id).undelivered == bool(wanted)
        assert jobs_of(client, failed) == wanted


def test_the_determinations_are_those_of_the_node() -> None:
    assert set(DETERMINATIONS) == set(get_args(Determination))


def test_an_address_says_what_the_form_said(client: httpx.Client) -> None:
    query = JobQuery(
        state=["failed", "", "queued"],
        since="2026-01-02",
        caller=" CR 1 ",
        delivery=["held"],
        q="Doe & Co",
        sort="study",
    )
    filters, cursor = read(query)
    assert cursor is None
    assert filters.query() == (
        "state=queued&state=failed&since=2026-01-02&caller=CR+1&delivery=held&q=Doe+%26+Co"
        "&sort=study"
    )
    html = client.get(f"/?{filters.query()}").text
    for chosen in ('value="failed" checked', 'value="held" checked', 'value="Doe &amp; Co"'):
        assert chosen in html


BAD = {
    "state=lost": "There is no state “lost”; there are received, queued",
    "delivery=lost": "There is no state of a delivery “lost”",
    "determination=odd": "There is no determination “odd”",
    "sort=size": "There is no order “size”; there are newest",
    "since=31.1.2026": "“since” is a day as YYYY-MM-DD",
    "until=0001-01-01": "“until” is a day as YYYY-MM-DD, of 1900 to 2200",
    "since=2026-02-01&until=2026-01-01": "“since” lies after “until”",
    "days=0": "“days” is a number from 1 to 36500.",
    "days=1e3": "“days” is a number",
    "q=" + "x" * 65: "“q” is at most 64 characters",
    "q=%00": "“q” is at most 64 characters, without controls",
    "caller=%1b[0m": "“caller” is at most",
    "after=x": "This page of the list is none",
    "after=2026-01-01T00:00:00~1": "This page of the list is none",
    "before=2026-01-01T00:00:00%2B00:00~99999999999": "This page of the list is none",
    "sort=bone-age&after=nan~1": "This page of the list is none",
    "sort=study&after=%EF%BC%92026~1": "This page of the list is none",
    "after=2026-01-01T00:00:00Z~1&before=2026-01-01T00:00:00Z~1": "either “after” or “before”",
}


@pytest.mark.parametrize("query", BAD)
def test_what_an_address_may_not_say(client: httpx.Client, query: str) -> None:
    page, api = client.get(f"/?{query}"), client.get(f"/api/jobs?{query}")
    assert page.status_code == api.status_code == 400
    assert BAD[query] in " ".join(page.text.split())
    assert BAD[query] in api.json()["errors"][0]
    assert 'role="search"' in page.text


def test_many_wrong_words_do_not_fill_the_page() -> None:
    with pytest.raises(FilterError) as caught:
        read(JobQuery(state=[str(number) for number in range(1000)]))
    assert len(caught.value.messages) == 8


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Doe^Jane^^Dr", "doe jane dr"),
        ("  Müller^  Änne ", "müller änne"),
        ("=山田^太郎=やまだ", "山田 太郎"),
        ("^^^^", ""),
        ("x" * 100, "x" * 64),
    ],
)
def test_what_a_name_is_found_by(name: str, key: str) -> None:
    assert name_key(name) == key


# --- pages -------------------------------------------------------------------------------------


def test_pages_to_and_fro(make: Jobs, client: httpx.Client) -> None:
    made = [make.rejected("no hand") for _ in range(2 * PAGE_SIZE + 1)]
    first = client.get("/?state=rejected").text
    assert "101 jobs" in Page(first).text

    def at(html: str, rel: str) -> str:
        [link] = [a for tag, a in Page(html).elements if tag == "a" and a.get("rel") == rel]
        return client.get(str(link["href"])).text

    second = at(first, "next")
    third = at(second, "next")
    shown = [*listed(first), *listed(second), *listed(third)]
    assert shown == made[::-1]
    assert 'rel="next"' not in third
    assert listed(at(third, "prev")) == listed(second)
    assert listed(at(second, "prev")) == listed(first)
    assert 'rel="prev"' not in first


def test_a_job_in_json(make: Jobs, client: httpx.Client, node: Node) -> None:
    job_id, (delivery,) = make.reported(
        124.3, destinations=("PACS",), StudyDate="20250131", PatientSex="F", **PATIENT
    )
    make.deliver(delivery, DeliveryState.SENT)
    make.settle(job_id)
    with node.database.write() as session:
        job = session.get_one(JobRow, job_id)
        job.finding = {
            "sex": "F",
            "chronological_age_months": 121.5,
            "interval_months": [110.0, 139.0],
            "z_score": -0.34,
        }
        job.determination = "normal"
    answer = client.get("/api/jobs?q=ph-1&sort=newest")
    assert answer.json()["count"] == 0  # identifiers are found as they are written
    answer = client.get("/api/jobs?q=PH-1").json()
    [found] = answer["jobs"]
    assert {key: found[key] for key in ("state", "patient_name", "sex", "caller")} == {
        "state": "sent",
        "patient_name": "Phantom^Ada",
        "sex": "F",
        "caller": "CR_ROOM_1",
    }
    assert found["destinations"] == [{"name": "PACS", "state": "sent", "reason": None}]
    assert (answer["count"], answer["next"], answer["previous"]) == (1, None, None)
    text = Page(client.get("/?q=PH-1").text).text
    assert "Phantom, Ada PH-1 F, 10 y 2 m 10 y 4 m 90 % interval 9 y 2 m – 11 y 7 m" in text  # noqa: RUF001 - from, to
    assert "z −0.3 normal 2025-01-31 accession number A-77" in text  # noqa: RUF001 - a minus


# --- the privacy switch ------------------------------------------------------------------------


def test_hidden_patients_are_not_in_the_page(make: Jobs, client: httpx.Client) -> None:
    job_id = make.rejected("no hand", **PATIENT)
    assert "Phantom, Ada" in client.get("/").text
    answer = client.post("/privacy", data={"privacy": "1", "back": "/?state=rejected"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/?state=rejected")
    for address in ("/", "/?state=rejected", "/api/jobs"):
        shown = client.get(address).text
        assert f"{job_id}" in shown
        for secret in ("Phantom", "Ada", "PH-1", "A-77"):
            assert secret not in shown
    with stream(client, f"/live?event={0}") as lines:
        assert "Phantom" not in next(data_of(lines))["html"]
    client.post("/privacy", data={"privacy": "", "back": "/"})
    assert "Phantom, Ada" in client.get("/").text


@pytest.mark.parametrize(
    "back", ["//evil.example", "/\\evil.example", "https://evil.example", "", "/a\r\nX: y"]
)
def test_the_switch_leads_nowhere_else(client: httpx.Client, back: str) -> None:
    answer = client.post("/privacy", data={"privacy": "1", "back": back})
    assert answer.headers["location"] == "/"


# --- live --------------------------------------------------------------------------------------


@contextmanager
def stream(client: httpx.Client, address: str, **headers: str) -> Iterator[Iterator[str]]:
    with client.stream("GET", address, headers=headers, timeout=STEP_SECONDS) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield answer.iter_lines()


def data_of(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Yield what each event carries."""
    for line in lines:
        if line.startswith("data: "):
            yield json.loads(line[6:])


def test_new_and_changed_jobs_are_told(make: Jobs, client: httpx.Client) -> None:
    old = make.received()
    event = re.search(r"event=(\d+)", client.get("/?state=received").text)
    assert event
    with stream(client, f"/live?state=received&event={event[1]}") as lines:
        assert next(lines) == "retry: 3000"
        told = data_of(lines)
        new = make.received()
        first = next(told)
        assert (first["id"], first["fits"]) == (new, True)
        assert f'<tr role="row" data-job="{new}"' in first["html"]
        make.move(old, JobState.RECEIVED, JobState.QUEUED)
        second = next(told)
        assert (second["id"], second["state"], second["fits"]) == (old, "queued", False)


def test_what_was_missed_is_told_first(make: Jobs, client: httpx.Client) -> None:
    make.received()
    with stream(client, "/live?event=0", **{"Last-Event-ID": "1"}) as lines:
        missed = make.received()
        assert next(data_of(lines))["id"] == missed


def test_too_many_changes_are_not_told_one_by_one(
    make: Jobs, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "MOST_JOBS", 2)
    for _ in range(3):
        make.received()
    with stream(client, "/live?event=0") as lines:
        assert "event: many" in lines


def test_a_stream_ends_with_the_session(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "HEARTBEAT_SECONDS", 0.0)
    monkeypatch.setattr(live, "POLL_SECONDS", 0.02)
    with stream(client, "/live") as lines:
        assert ": beat" in lines
        monkeypatch.setattr(live.Stream, "_may_go_on", lambda _: False)
        assert list(lines)[-1] in {"", ": beat"}


def test_after_the_logout_nothing_is_told(node: Node, make: Jobs, client: httpx.Client) -> None:
    """On a busy node a stream is never idle: the login is looked at before each telling."""
    with stream(client, "/live") as lines:
        assert next(lines).startswith("retry:")
        told = data_of(lines)
        make.received()
        next(told)
        with node.database.write() as session:
            sessions.end(session, client.cookies[SESSION])
        make.received()
        assert list(told) == []


def test_an_event_committed_late_is_found(node: Node, make: Jobs) -> None:
    """PostgreSQL numbers events as they are made, not as they are committed."""
    for _ in range(2):
        make.received()
    watch = live.Watch(node, 0)
    watch._seen = {2}
    watch._looks[0] = (watch._looks[0][0], 0)
    change = watch.look()
    assert change is not None
    assert change.job_ids == {1}
    assert watch.look() is None


def test_sigterm_ends_open_streams(make: Jobs, tmp_path: Path) -> None:

    make.received()
    port = free_port()
    with command(tmp_path, f"worklist: {{port: {port}}}\n") as peer:
        peer.wait_for(lambda: is_listening(port), "the worklist")
        base = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=base, trust_env=False, timeout=COMMAND_SECONDS) as client:
            let_in(client, make.node, "viewer", Role.VIEWER)
            with stream(client, "/live?event=0") as lines:
                assert next(data_of(lines))["id"] == 1
                began = now()
                peer.process.send_signal(signal.SIGTERM)
                assert peer.process.wait(COMMAND_SECONDS) == 0
        assert (now() - began).total_seconds() < GRACE_SECONDS
