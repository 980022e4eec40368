"""The pages, over a real server, of a real database whose rows the node itself wrote."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from dicom_node import deliveries, jobs
from dicom_node.config import WorklistSection
from dicom_node.db import OutputRow
from dicom_node.errors import ConfigError, NodeError
from dicom_node.results import SERIES_NUMBERS
from dicom_node.states import DeliveryState, JobState
from tests.peers import HOST, Peer, free_port, is_listening, running
from tests.web.conftest import Jobs, let_in, served
from worklist import words
from worklist.__main__ import loopback_address, open_socket
from worklist.access import Role
from worklist.app import create_app
from worklist.listing import PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dicom_node.node import Node

PROJECT = Path(__file__).resolve().parents[2]
HOSTILE = "<script>alert('x')</script><img src=x onerror=\"alert(1)\"> & co"
COMMAND_SECONDS = 120.0


class Page(HTMLParser):
    """What a browser would see: every element, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data + " "

    def links(self) -> list[str]:
        return [str(attributes["href"]) for tag, attributes in self.elements if tag == "a"]


def row(html: str, job_id: int) -> Page:
    """Return the row of one job in the list."""
    found = [
        r for r in re.findall(r"<tr role.*?</tr>", html, re.DOTALL) if f'"/jobs/{job_id}"' in r
    ]
    return Page(next(r for r in found if f'<a href="/jobs/{job_id}"><span' in r))


# --- the list ----------------------------------------------------------------------------------


def test_an_empty_list_says_what_to_do(client: httpx.Client) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    text = Page(answer.text).text
    assert "No radiographs yet" in text
    assert "storescu -aet MODALITY -aec BONEAGE 127.0.0.1 11112 hand.dcm" in text
    assert "Nobody may call yet" in text


def test_an_empty_list_names_who_may_call(
    make_node: Callable[[str], Node], client_of: Callable[[Node], httpx.Client]
) -> None:
    node = make_node("callers: [{ae_title: CR_ROOM_1}, {ae_title: CR_ROOM_2}]\n")
    text = Page(client_of(node).get("/").text).text
    assert "These AE titles may call: CR_ROOM_1, CR_ROOM_2." in text
    assert "storescu -aet CR_ROOM_1 " in text


def test_an_empty_list_says_that_anyone_may_call(
    make_node: Callable[[str], Node], client_of: Callable[[Node], httpx.Client]
) -> None:
    node = make_node("accept_unknown_callers: true\n")
    assert "Any AE title may call." in Page(client_of(node).get("/").text).text


def test_a_job_in_the_list(make: Jobs, client: httpx.Client) -> None:
    job_id, (to_pacs, to_archive) = make.reported(
        124.3, destinations=("PACS", "ARCHIVE"), StudyDate="20250131"
    )
    make.deliver(to_pacs, DeliveryState.SENT)
    make.deliver(to_archive, DeliveryState.REFUSED, "SR: SOP class not supported")
    make.settle(job_id)
    found = row(client.get("/").text, job_id).text
    assert re.match(rf"Job {job_id} failed for less than a minute ", found)
    assert re.search(r" 10 y 4 m 2025-01-31 20\d\d-\d\d-\d\d \d\d:\d\d from CR_ROOM_1 ", found)
    assert "PACS sent ARCHIVE refused SR: SOP class not supported" in found
    assert found.endswith("not delivered to ARCHIVE")


def test_every_state_is_a_word_with_a_colour(make: Jobs, client: httpx.Client) -> None:
    made = {
        make.received(): ("received", "wait"),
        make.queued(): ("queued", "wait"),
        make.running(): ("running", "work"),
        make.reported(100)[0]: ("reported", "good"),
        make.rejected("body part CHEST, not a hand"): ("rejected", "stop"),
        make.failed("the weights cannot be read"): ("failed", "bad"),
        make.cancelled(): ("cancelled", "off"),
    }
    html = client.get("/").text
    for job_id, (state, tone) in made.items():
        assert f'<span class="state tone-{tone}">{state}</span>' in html
        assert f"Job {job_id} {state} " in row(html, job_id).text


def test_newest_first(make: Jobs, client: httpx.Client) -> None:
    made = [make.received() for _ in range(3)]
    links = [link for link in Page(client.get("/").text).links() if link.startswith("/jobs/")]
    assert links == [f"/jobs/{job_id}" for job_id in reversed(made)]


def test_what_is_missing_is_said(make: Jobs, client: httpx.Client) -> None:
    job_id = make.received()
    said = "not recorded unknown, age unknown none not recorded"
    assert said in row(client.get("/").text, job_id).text


def test_what_the_privacy_switch_hides(make: Jobs, client: httpx.Client) -> None:
    job_id, _ = make.reported(
        100, PatientName="Doe^Jane", PatientID="ID-4711", PatientBirthDate="20150203"
    )
    client.cookies.set("privacy", "1")
    shown = client.get("/").text + client.get(f"/jobs/{job_id}").text
    # Whole values: four digits alone stand in some microsecond of the page now and then.
    for hidden in ("Doe", "Jane", "ID-4711", "20150203", "2015-02-03"):
        assert hidden not in shown


@pytest.mark.parametrize("path", ["/", "/jobs/1"])
def test_a_hostile_reason_stays_text(make: Jobs, client: httpx.Client, path: str) -> None:
    assert make.rejected(HOSTILE, StudyDate=HOSTILE) == 1
    page = Page(client.get(path).text)
    assert "img" not in {tag for tag, _ in page.elements}
    assert_scripts_are_ours(page)
    assert page.text.count("alert('x')") >= 2  # the reason and the date, both as text


def test_a_hostile_report_stays_text(make: Jobs, client: httpx.Client) -> None:
    job_id, _ = make.reported(100, report=HOSTILE)
    page = Page(client.get(f"/jobs/{job_id}").text)
    assert "img" not in {tag for tag, _ in page.elements}
    assert_scripts_are_ours(page)
    assert HOSTILE in page.text


# --- pages -------------------------------------------------------------------------------------


def test_a_full_last_page_leads_no_further(make: Jobs, client: httpx.Client) -> None:
    for _ in range(PAGE_SIZE):
        make.received()
    assert 'rel="next"' not in client.get("/").text


def test_behind_the_last_job(make: Jobs, client: httpx.Client) -> None:
    make.received()
    page = Page(client.get("/", params={"after": "2000-01-01T00:00:00+00:00~1"}).text)
    assert "No further jobs The list ends here." in page.text
    assert "/" in page.links()


# --- one job -----------------------------------------------------------------------------------


def test_one_job_in_full(node: Node, make: Jobs, client: httpx.Client) -> None:
    report = "Bone age, left hand\nBone age 10 y 4 m (124 months)\nSD   9.4 months\n"
    job_id, (delivery_id,) = make.reported(
        124.3, report=report, destinations=("PACS",), StudyDate="20250131"
    )
    with node.database.write() as session:
        output = OutputRow(
            job_id=job_id,
            kind="sr",
            sop_class_uid="1.2.840.10008.5.1.4.1.1.88.33",
            sop_instance_uid="2.25.99",
            series_instance_uid="2.25.98",
            series_number=9102,
            instance_number=1,
            path="results/sr.dcm",
            sha256="0" * 64,
        )
        session.add(output)
        session.flush()
        deliveries.keep_status(session, delivery_id, output.id, 0xB000)
    make.deliver(delivery_id, DeliveryState.SENT)
    make.settle(job_id)
    answer = client.get(f"/jobs/{job_id}")
    assert answer.status_code == 200
    assert f'aria-labelledby="report">{report}</pre>' in answer.text
    text = Page(answer.text).text
    assert f"Job {job_id} sent Every destination has taken the results." in text
    assert "Bone age 10 years 4 months Patient no name" in text
    assert "Study date 2025-01-31 Received" in text
    assert "from CR_ROOM_1" in text
    assert "Study Instance UID 2.25.1.1 SOP Instance UID 2.25.1 " in text
    assert "the Structured report PACS: stored (0xB000) 2.25.99" in text
    history = text.split("Events")[1].split("Details")[0]
    moves = re.findall(r"(job|PACS) (?:(\w+) → became )?(\w+) (\S+)", history)
    assert moves == [
        ("job", "", "received", "node"),
        ("job", "received", "queued", "node"),
        ("job", "queued", "running", "assess@test"),
        ("job", "running", "reported", "node"),
        ("PACS", "", "waiting", "node"),
        ("PACS", "waiting", "sending", "send@test"),
        ("PACS", "sending", "sent", "node"),
        ("job", "reported", "sent", "node"),
    ]


def test_a_rerun_names_its_predecessor(node: Node, make: Jobs, client: httpx.Client) -> None:
    first = make.rejected("no body part")
    with node.database.write() as session:
        again = jobs.rerun(session, first, "operator")
    assert f"/jobs/{first}" in row(client.get("/").text, again).links()
    page = Page(client.get(f"/jobs/{again}").text)
    assert f"/jobs/{first}" in page.links()
    assert f"re-run of job {first}" in page.text


@pytest.mark.parametrize(
    "path", ["/jobs/1", "/jobs/x", "/jobs/-1", f"/jobs/{2**63}", "/no", "/static/no.css", "/docs"]
)
def test_what_is_not_there(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    page = Page(answer.text)
    assert "Not Found There is no" in page.text
    assert "/" in page.links()


def test_the_pages_over_postgresql(
    postgresql: str,
    make_node: Callable[[str], Node],
    client_of: Callable[[Node], httpx.Client],
) -> None:
    node = make_node(f"database: {{url: '{postgresql}'}}\n")
    client = client_of(node)
    job_id, _ = Jobs(node).reported(124.3, destinations=("PACS",), StudyDate="20250131")
    assert "10 y 4 m 2025-01-31" in row(client.get("/").text, job_id).text
    assert "Study date 2025-01-31" in Page(client.get(f"/jobs/{job_id}").text).text
    assert client.get("/", params={"q": "\0"}).status_code == 400
    assert client.get(f"/jobs/{2**31}").status_code == 404
    assert client.get("/healthz").json()["database"]["state"] == "ok"


# --- every answer ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/", "/healthz", "/jobs/1", "/static/worklist.css", "/no", "/?before=x"]
)
def test_security_headers_on_every_answer(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    assert headers["content-security-policy"].startswith("default-src 'self';")
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == "no-store"


def assert_scripts_are_ours(page: Page) -> None:
    """Every script is a file of ours, none stands in the page itself."""
    for tag, attributes in page.elements:
        if tag == "script":
            assert (attributes.get("src") or "").startswith("/static/")


def test_the_page_keeps_its_own_policy(make: Jobs, client: httpx.Client) -> None:
    """No script or style inside the page, nothing from elsewhere: the policy forbids them."""
    job_id = make.rejected("no body part")
    for path in ("/", f"/jobs/{job_id}", "/no"):
        page = Page(client.get(path).text)
        assert not {"style", "iframe"} & {tag for tag, _ in page.elements}
        assert_scripts_are_ours(page)
        for _, attributes in page.elements:
            assert "style" not in attributes
            for address in (attributes.get("href"), attributes.get("src")):
                assert address is None or address.startswith(("/", "#"))
                if address and address.startswith("/static/"):
                    assert client.get(address).status_code == 200
        assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in (
            page.elements
        )


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nothing_can_be_written(make: Jobs, client: httpx.Client, method: str) -> None:
    make.received()
    for path in ("/", "/jobs/1", "/healthz"):
        assert client.request(method, path).status_code == 405


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:8000", 200), ("localhost", 200), ("[::1]:8000", 200), ("attacker.example", 400)],
)
def test_only_names_of_this_machine_are_answered(
    client: httpx.Client, host: str, status: int
) -> None:
    """A page of the internet whose name resolves to 127.0.0.1 must not read the list."""
    assert client.get("/", headers={"Host": host}).status_code == status


def test_without_tables_the_page_says_so(make_node: Callable[[str], Node]) -> None:
    with served(create_app(make_node(""))) as client:
        answer = client.get("/", follow_redirects=True)
    assert answer.status_code == 503
    assert "`db upgrade`" in Page(answer.text).text


def test_a_defect_shows_nothing_of_itself(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    app = create_app(node)

    @app.get("/defect")
    def fail() -> None:
        msg = "Doe^Jane"
        raise ValueError(msg)

    with served(app) as client:
        let_in(client, node, "admin", Role.ADMIN)
        answer = client.get("/defect")
    assert answer.status_code == 500
    assert answer.headers["x-frame-options"] == "DENY"
    assert "The page failed" in answer.text
    assert "Doe" not in answer.text
    printed = "".join(capsys.readouterr())
    assert "test_worklist.py:" in printed
    assert "ValueError" in printed
    assert "Doe" not in printed


# --- words -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age_months", "said"),
    [
        (None, ""),
        (0, "0 months"),
        (1.2, "1 month"),
        (11.6, "1 year"),
        (12, "1 year"),
        (13, "1 year 1 month"),
        (124.3, "10 years 4 months"),
        (228, "19 years"),
    ],
)
def test_ages(age_months: float | None, said: str) -> None:
    assert words.age_words(age_months) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("20250131", "2025-01-31"),
        ("2025.01.31", "2025-01-31"),  # the form of ACR-NEMA, PS3.5 6.2
        ("unknown", "unknown"),
        ("", ""),
        (None, ""),
    ],
)
def test_dates(value: str | None, said: str) -> None:
    assert words.date_words(value) == said


def test_every_state_has_its_colour_and_its_meaning() -> None:
    assert set(words.JOB_TONES) == set(words.MEANINGS) == set(JobState)
    assert set(words.DELIVERY_TONES) == set(DeliveryState)


# --- the command -------------------------------------------------------------------------------


@contextmanager
def command(folder: Path, text: str) -> Iterator[Peer]:
    """Run ``python -m worklist`` with a configuration."""
    file = folder / "config.yaml"
    file.write_text(f"data_directory: .\n{text}", "utf-8")
    environment = {"PYTHONPATH": str(PROJECT)}
    words = [sys.executable, "-m", "worklist", "--config", file]
    with running(words, folder, environment=environment) as peer:
        yield peer


def test_the_command_serves_until_sigterm(node: Node, make: Jobs, tmp_path: Path) -> None:
    job_id, port = make.rejected("no body part"), free_port()
    assert node.config.data_directory == tmp_path
    with command(tmp_path, f"worklist: {{port: {port}}}\n") as peer:
        peer.wait_for(lambda: is_listening(port), "the worklist")
        with httpx.Client(base_url=f"http://{HOST}:{port}", trust_env=False) as client:
            let_in(client, node, "admin", Role.ADMIN)
            page = client.get("/", timeout=COMMAND_SECONDS)
            assert f'"/jobs/{job_id}"' in page.text
            assert "server" not in page.headers
            peer.process.send_signal(signal.SIGTERM)
            assert peer.process.wait(COMMAND_SECONDS) == 0
    lines = [json.loads(line) for line in peer.log_text().splitlines()]
    assert [line["event"] for line in lines] == ["worklist served", "worklist stopped"]


def test_the_command_refuses_to_be_reached_from_elsewhere(tmp_path: Path) -> None:
    with command(tmp_path, f"worklist: {{host: 0.0.0.0, port: {free_port()}}}\n") as peer:
        assert peer.process.wait(COMMAND_SECONDS) == 2
    assert peer.log_text() == (
        "error: worklist.host: 0.0.0.0 is not a loopback address, and nobody can log in yet: make "
        "the first user by `python -m worklist users add NAME --role admin`, or set worklist.oidc\n"
    )


@pytest.mark.parametrize("host", ["192.0.2.1", "::", "2001:db8::1", "10.0.0.1"])
def test_what_other_machines_could_reach_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match=f"worklist.host: {host} is not a loopback address"):
        open_socket(WorklistSection(host=host, port=free_port()))


def test_a_host_that_is_none_is_refused() -> None:
    no_label = 64 * "x"  # a label of a host name has at most 63 characters (RFC 1035 2.3.4)
    with pytest.raises(ConfigError, match=f"^worklist.host: '{no_label}' is no address"):
        open_socket(WorklistSection(host=no_label, port=free_port()))


def test_a_port_that_is_taken_is_said(client: httpx.Client) -> None:
    section = WorklistSection(port=client.base_url.port or 0)
    with pytest.raises(NodeError, match=os.strerror(errno.EADDRINUSE)) as caught:
        open_socket(section)
    assert caught.value.exit_code == 1
    assert str(caught.value).startswith(
        f"worklist: cannot listen on 127.0.0.1, port {section.port}"
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_addresses(host: str) -> None:
    _, (address, port) = loopback_address(host, 8000)
    assert address.startswith("127.") or address == "::1"
    assert port == 8000


def test_the_page_runs_without_torch() -> None:
    program = (
        "import sys, worklist.__main__; "
        "print({'torch', 'monai', 'matplotlib', 'models.tjnet', 'celery'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True)
    assert ran.stdout == "{'celery'}\n"  # the broker's; the others would be reported likewise


def test_that_every_kind_of_result_has_a_name() -> None:
    """A presentation state or a PDF must not be shown as a secondary capture."""
    assert set(words.KINDS) == set(SERIES_NUMBERS)
    assert len(set(words.KINDS.values())) == len(words.KINDS)
