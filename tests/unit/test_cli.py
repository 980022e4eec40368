"""The commands as a person or a program calls them: exit codes, words, JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer.main

from dicom_node import __version__, cli, command_line, deliveries, jobs, log, results
from dicom_node.config import load_config
from dicom_node.node import Node
from dicom_node.states import DeliveryState, JobState
from dicom_node.words import words_of
from tests.builders import add_job, add_output, cr_header, kept_instance, write_dicom
from tests.samples import a_finding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.peers import Dcmtk

PROJECT = Path(__file__).resolve().parents[2]
NO_JOB, NOT_ALLOWED, PEER, USAGE, NOT_ELIGIBLE = 4, 5, 6, 2, 3
CONFIG = """
data_directory: data
broker: {url: 'redis://127.0.0.1:1/0'}  # nobody listens there
destinations:
  - {name: PACS, ae_title: ARCHIVE, host: 127.0.0.1, port: 1, timeout_seconds: 2}
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - JSON
        return json.loads(self.out)


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ended]:
    """Return a function that runs a command as ``python -m dicom_node`` does, in this process."""
    monkeypatch.setattr(log, "configure", lambda: None)  # it would keep pytest's standard error
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)

    def call(*words: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["dicom_node", *(str(word) for word in words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capsys.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        # Where another test has set logging up, its lines stand on standard error, too.
        lines = told.err.splitlines(keepends=True)
        return Ended(code, told.out, "".join(line for line in lines if not line.startswith("{")))

    return call


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG)
    return file


@pytest.fixture
def node(
    config_file: Path, run: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Node]:
    """Return the node that the commands work on, its tables made by one of them."""
    monkeypatch.setenv("DICOM_NODE_CONFIG", str(config_file))
    upgraded = run("db", "upgrade")
    assert (upgraded.code, upgraded.out) == (0, "the tables are up to date\n")
    made = Node.of(load_config(config_file))
    yield made
    made.close()


def job_in(node: Node, state: JobState) -> int:
    with node.database.write() as session:
        return add_job(session, state)


def state_of(node: Node, job_id: int) -> JobState:
    with node.database.read() as session:
        return jobs.get(session, job_id).state


# --- help and usage ----------------------------------------------------------------------------


def commands() -> list[list[str]]:
    root = typer.main.get_command(cli.app)
    found: list[list[str]] = [[]]
    for name, command in getattr(root, "commands").items():  # noqa: B009 - of a click group
        inner = getattr(command, "commands", None)
        found += [[name]] if inner is None else [[name], *([name, one] for one in inner)]
    return found


def test_the_commands_are_those_of_the_contract() -> None:
    names = {" ".join(words) for words in commands()}
    assert names >= {
        *("serve", "listen", "work", "sweep", "worklist", "explain", "jobs", "show", "rerun"),
        *("retry", "cancel", "send", "echo", "db upgrade", "check-config", "verify"),
    }


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_has_help(run: Callable[..., Ended], words: list[str]) -> None:
    ended = run(*words, "--help")
    assert ended.code == 0
    assert "Usage:" in ended.out
    assert words == [] or words[-1] in ended.out


@pytest.mark.parametrize(
    "words",
    [
        ["no-such-command"],
        ["jobs", "--state", "lost"],
        ["jobs", "--limit", "0"],
        ["show", "seven"],
        ["show"],
        ["explain", "absent.dcm"],
        ["work", "--queue", "both"],
        ["send", "absent.dcm", "--to", "PACS"],
    ],
    ids=" ".join,
)
def test_wrong_usage(run: Callable[..., Ended], words: list[str]) -> None:
    assert run(*words).code == USAGE


def test_the_version(run: Callable[..., Ended]) -> None:
    assert run("--version") == Ended(0, f"{__version__}\n", "")


# --- configuration -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        *(["serve"], ["listen"], ["work"], ["work", "--queue", "send"], ["sweep"], ["worklist"]),
        *(["jobs"], ["show", "1"], ["rerun", "1"], ["retry", "1"], ["cancel", "1"], ["verify"]),
        *(["echo", "PACS"], ["db", "upgrade"], ["check-config"], ["explain", "config.yaml"]),
    ],
    ids=" ".join,
)
def test_a_bad_configuration(
    run: Callable[..., Ended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text("node: {prot: 104}")
    assert run(*words) == Ended(USAGE, "", "error: config.yaml: node.prot: unknown key\n")


def test_no_configuration(run: Callable[..., Ended], tmp_path: Path) -> None:
    ended = run("--config", tmp_path / "absent.yaml", "check-config")
    assert ended.code == USAGE
    assert ended.err.startswith(f"error: {tmp_path}/absent.yaml: [Errno 2]")


def test_check_config(
    run: Callable[..., Ended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODE_TEST_SECRET", "hunter2")
    file = tmp_path / "node.yaml"
    file.write_text("broker: {url: 'redis://h/0', password_env: NODE_TEST_SECRET}")
    assert run("--config", file, "check-config") == Ended(0, f"{file}: good\n", "")
    shown = run("--config", file, "check-config", "--json")
    assert shown.json["broker"]["url"] == "redis://***@h/0"
    assert shown.json["node"]["ae_title"] == "BONEAGE"
    assert "hunter2" not in shown.out
    assert not (tmp_path / "var").exists()


def test_check_config_with_a_calibration_that_does_not_fit(
    run: Callable[..., Ended], tmp_path: Path
) -> None:
    file, calibration = tmp_path / "node.yaml", tmp_path / "site.json"
    file.write_text("inference: {calibration: site.json}")
    assert "inference.calibration: no such file" in run("--config", file, "check-config").err
    calibration.write_text("{}")
    ended = run("--config", file, "check-config")
    assert ended.code == USAGE
    assert ended.err.startswith(f"error: inference.calibration: {calibration}: no calibration:")
    line = {"a_months": 1, "b": 1, "from_months": 0, "to_months": 228}
    scale = {"sd_scale": 1, "interval_scale": 1}
    values = {
        "name": "site",
        "weights": "others",
        "lines": dict.fromkeys(("M", "F", "unknown"), line),
        "interval": {**scale, "unknown_sex": scale},
    }
    calibration.write_text(json.dumps(values))
    ended = run("--config", file, "check-config")
    assert ended.code == USAGE
    assert "made for the weights others, not for " in ended.err
    fitting = ended.err.split("not for ")[1].split(":")[0]
    calibration.write_text(json.dumps({**values, "weights": fitting}))
    assert run("--config", file, "check-config") == Ended(0, f"{file}: good\n", "")


def test_a_database_without_tables(run: Callable[..., Ended], config_file: Path) -> None:
    ended = run("--config", config_file, "jobs")
    assert ended.code == 1
    assert ended.err == (
        "error: the database cannot be used (OperationalError); try `db upgrade`\n"
    )


# --- explain -----------------------------------------------------------------------------------


@pytest.fixture
def hand(tmp_path: Path) -> Path:
    return write_dicom(tmp_path / "hand.dcm", cr_header())


def test_explain_what_is_assessed(run: Callable[..., Ended], config_file: Path, hand: Path) -> None:
    told = run("--config", config_file, "explain", hand)
    assert told == Ended(0, f"{hand}: would be assessed\nresults go to: PACS\n", "")
    found = run("--config", config_file, "explain", hand, "--json").json
    assert found == {
        "file": str(hand),
        "eligible": True,
        "reason": None,
        "modality": "CR",
        "sex": "F",
        "chronological_age_months": 120.0,
        "laterality": None,
        "routes": [],
        "destinations": ["PACS"],
    }
    assert not (config_file.parent / "data").exists()


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"BodyPartExamined": "[/b]FOOT"}, "body part [/B]FOOT, not a hand"),
        ({"Modality": "MG"}, "modality MG, not CR or DX"),
    ],
)
def test_explain_what_is_not(
    run: Callable[..., Ended],
    config_file: Path,
    tmp_path: Path,
    values: dict[str, str],
    reason: str,
) -> None:
    file = write_dicom(tmp_path / "other.dcm", cr_header(**values))
    told = run("--config", config_file, "explain", file)
    assert told == Ended(NOT_ELIGIBLE, f"{file}: would be rejected: {reason}\n", "")
    found = run("--config", config_file, "explain", file, "--json")
    assert found.code == NOT_ELIGIBLE
    assert (found.json["eligible"], found.json["reason"]) == (False, reason)
    assert found.json["destinations"] == []


def test_explain_as_if_someone_had_sent_it(
    run: Callable[..., Ended], config_file: Path, hand: Path
) -> None:
    config_file.write_text(CONFIG + "callers: [{ae_title: CR1}]\n")
    assert run("--config", config_file, "explain", hand, "--calling", "CR1").code == 0
    told = run("--config", config_file, "explain", hand, "--calling", "CR2")
    assert told.code == NOT_ELIGIBLE
    assert "CR2 may not call" in told.out


def test_explain_what_is_no_dicom(run: Callable[..., Ended], config_file: Path) -> None:
    told = run("--config", config_file, "explain", config_file, "--json")
    assert told.code == NOT_ELIGIBLE
    assert told.json["reason"] == "the header cannot be parsed (InvalidDicomError)"


# --- jobs --------------------------------------------------------------------------------------


def test_jobs(run: Callable[..., Ended], node: Node) -> None:
    assert run("jobs", "--json").json == []
    rejected, queued = job_in(node, JobState.REJECTED), job_in(node, JobState.QUEUED)
    with node.database.write() as session:
        moved = (JobState.REJECTED, JobState.QUEUED)
        assert jobs.move(
            session, rejected, *moved, reason="body part [/X], [bold]not[/bold] a hand"
        )
    assert [job["id"] for job in run("jobs", "--json").json] == [queued, rejected]
    assert [job["id"] for job in run("jobs", "--json", "--limit", 1).json] == [queued]
    assert run("jobs", "--json", "--state", "sent").json == []
    told = run("jobs")
    assert told.code == 0
    assert "[/X]" in told.out
    assert "[bold]not[/bold]" in told.out


def test_show(run: Callable[..., Ended], node: Node) -> None:
    job_id = job_in(node, JobState.FAILED)
    shown = run("show", job_id, "--json").json
    assert (shown["id"], shown["state"]) == (job_id, "failed")
    assert [event["to"] for event in shown["events"]] == ["received", "queued", "running", "failed"]
    told = run("show", job_id)
    assert told.code == 0
    assert told.out.startswith(f"job {job_id}: failed\n")
    assert "job: running -> failed" in told.out


def test_show_prints_the_report_in_the_language_that_was_configured(
    run: Callable[..., Ended], node: Node
) -> None:
    job_id = job_in(node, JobState.REPORTED)
    with node.database.write() as session:
        jobs.get(session, job_id).finding = results.finding_values(a_finding(), words_of("ko"))
    told = run("show", job_id)
    assert told.code == 0
    assert "골연령 10세 4개월 (124개월), 90% 구간 108~139개월" in told.out
    assert run("show", job_id, "--json").json["finding"]["report"] in told.out


@pytest.mark.usefixtures("node")
def test_no_such_job(run: Callable[..., Ended]) -> None:
    for command in ("show", "rerun", "retry", "cancel"):
        for number in (1, 2**31, 10**30):
            assert run(command, number) == Ended(NO_JOB, "", f"error: no job {number}\n")


def test_cancel(run: Callable[..., Ended], node: Node) -> None:
    for state in JobState:
        job_id = job_in(node, state)
        ended = run("cancel", job_id)
        if state in {JobState.RECEIVED, JobState.QUEUED}:
            assert (ended.code, ended.err) == (0, "")
            assert ended.out.splitlines()[-1] == f"job {job_id} is cancelled"
            assert state_of(node, job_id) == JobState.CANCELLED
        else:
            assert ended.code == NOT_ALLOWED
            assert ended.err == f"error: job {job_id} is {state}: it cannot become cancelled\n"
            assert state_of(node, job_id) == state


def test_rerun(run: Callable[..., Ended], node: Node, tmp_path: Path) -> None:
    with node.database.write() as session:
        instance = kept_instance(node.storage, tmp_path, cr_header())
        job_id = add_job(session, JobState.REPORTED, instance)
    ended = run("rerun", job_id)
    [new, old] = run("jobs", "--json").json
    assert ended.code == 0
    assert ended.out.splitlines()[-1] == f"job {new['id']} is queued"
    assert (new["rerun_of"], new["state"], old["state"]) == (job_id, "queued", "reported")
    again = run("rerun", new["id"])
    assert again.code == NOT_ALLOWED
    assert "it will be assessed anyway" in again.err


def test_rerun_of_several_is_a_batch(run: Callable[..., Ended], node: Node, tmp_path: Path) -> None:
    with node.database.write() as session:
        instances = [kept_instance(node.storage, tmp_path, cr_header()) for _ in range(2)]
        ids = [add_job(session, JobState.SENT, instance) for instance in instances]
    ids.append(job_in(node, JobState.QUEUED))
    ended = run("rerun", *ids, "--weights", "tjnet-cpu")
    assert ended.code == 0
    assert ended.out.splitlines()[-2:] == [
        "batch 1: 2 of 3 jobs, 1 skipped",
        "  1: the job is queued: it will be assessed anyway",
    ]
    for words, told in (
        (("--laterality", "L"), "a birth date or a side is corrected for one job at a time"),
        (
            ("--weights", "none"),
            "there are no weights of this name; choose among tjnet-gpu, tjnet-cpu",
        ),
    ):
        assert run("rerun", *ids, *words) == Ended(USAGE, "", f"error: {told}\n")
    shown = run("rerun", *ids, "--json").out.splitlines()
    found = json.loads("\n".join(shown[shown.index("{") :]))  # below what may be logged
    assert (found["total"], found["done"], found["reruns"]) == (3, 2, {"queued": 2})
    assert run("rerun", ids[0], 999).code == NO_JOB


def test_accept_priority_and_note(run: Callable[..., Ended], node: Node, tmp_path: Path) -> None:
    with node.database.write() as session:
        instance = kept_instance(node.storage, tmp_path, cr_header(BodyPartExamined="FOOT"))
        job_id = add_job(session, JobState.REJECTED, instance)
    for words, told in (
        (("note", job_id, "seen"), f"the note is kept with job {job_id}"),
        (("accept", job_id, "--overrule-gate"), f"job {job_id} is queued: accepted: the rules"),
        (("priority", job_id, "urgent"), f"job {job_id} is urgent"),
    ):
        ended = run(*words)
        assert ended.code == 0
        assert ended.out.splitlines()[-1].startswith(told)
    shown = run("show", job_id, "--json").json
    assert shown["priority"] == "urgent"
    assert shown["accepted"]["overrule_gate"] is True
    assert [note["text"] for note in shown["notes"]] == ["seen"]
    assert shown["accepted"]["actor"] == shown["notes"][0]["actor"] == command_line.operator()
    assert run("accept", job_id).code == NOT_ALLOWED
    assert run("priority", job_id, "soon").code == USAGE
    assert run("note", job_id, " ").err == "error: a note has 1 to 2000 characters\n"


def test_retry(run: Callable[..., Ended], node: Node) -> None:
    for state in JobState:
        job_id = job_in(node, state)
        ended = run("retry", job_id)
        if state in {JobState.FAILED, JobState.REJECTED}:
            assert ended.code == 0
            assert ended.out.splitlines()[-1] == f"job {job_id}: queued"
            assert state_of(node, job_id) == JobState.QUEUED
        else:
            assert ended.code == NOT_ALLOWED
            assert ended.err == f"error: job {job_id} is {state}: there is nothing to try again\n"
            assert state_of(node, job_id) == state


def test_retry_of_deliveries(run: Callable[..., Ended], node: Node) -> None:
    with node.database.write() as session:
        job_id = add_job(session, JobState.REPORTED)
        add_output(session, job_id)
        for delivery_id in deliveries.create(session, job_id, ["PACS", "WARD"]):
            assert deliveries.claim(session, delivery_id, "send@test", 45)
            moved = (DeliveryState.SENDING, DeliveryState.EXHAUSTED)
            assert deliveries.move(session, delivery_id, *moved)
        deliveries.settle(session, job_id)
    assert state_of(node, job_id) == JobState.FAILED
    nowhere = run("retry", job_id, "--to", "NOWHERE")
    assert nowhere.code == NOT_ALLOWED
    assert state_of(node, job_id) == JobState.FAILED
    ended = run("retry", job_id, "--to", "WARD")
    assert ended.out.splitlines()[-1] == f"job {job_id}: 1 deliveries wait"
    [job] = run("jobs", "--json").json
    assert job["state"] == "reported"
    assert {d["name"]: d["state"] for d in job["destinations"]} == {
        "PACS": "exhausted",
        "WARD": "waiting",
    }


def test_verify(run: Callable[..., Ended], node: Node, tmp_path: Path) -> None:
    instance = kept_instance(node.storage, tmp_path, cr_header())
    with node.database.write() as session:
        add_job(session, instance=instance)
    assert run("verify") == Ended(0, "1 files checked, 0 problems\n", "")
    file = node.storage.absolute(instance.path)
    file.write_bytes(file.read_bytes() + b"\0")
    ended = run("verify", "--json")
    assert (ended.code, ended.json) == (1, {"files": 1, "problems": [f"{file}: altered"]})


# --- peers -------------------------------------------------------------------------------------


# pynetdicom drops a socket whose connection was refused without closing it.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_a_peer_that_is_away(run: Callable[..., Ended], config_file: Path, hand: Path) -> None:
    ended = run("--config", config_file, "send", hand, "--to", "PACS")
    assert ended.code == PEER
    assert ended.err.startswith("error: ")
    assert "cannot be reached" in ended.err
    ended = run("--config", config_file, "echo", "PACS")
    assert ended.code == PEER
    assert ended.err == "error: PACS: tcp: refused: nothing listens at 127.0.0.1, port 1\n"
    ended = run("--config", config_file, "echo", "PACS", "--json")
    assert (ended.code, ended.err, ended.json["answers"]) == (PEER, "", False)
    assert [step["name"] for step in ended.json["steps"]] == ["address", "tcp"]


def test_a_peer_that_is_not_configured(
    run: Callable[..., Ended], config_file: Path, hand: Path
) -> None:
    for words in (["echo", "NOWHERE"], ["send", hand, "--to", "NOWHERE"]):
        ended = run("--config", config_file, *words)
        assert ended == Ended(USAGE, "", "error: destinations: none is named 'NOWHERE'\n")


def test_a_peer_that_answers(
    run: Callable[..., Ended], config_file: Path, hand: Path, dcmtk: Dcmtk
) -> None:
    with dcmtk.storescp() as archive:
        config_file.write_text(CONFIG.replace("port: 1,", f"port: {archive.port},"))
        ended = run("--config", config_file, "echo", "PACS")
        assert (ended.code, ended.err) == (0, "")
        assert ended.out.endswith("\nPACS answers\n")
        sent = run("--config", config_file, "send", hand, "--to", "PACS")
        assert sent == Ended(0, f"{hand}: stored\n", "")
        archive.wait_for_files(1)


def test_what_cannot_be_sent(run: Callable[..., Ended], config_file: Path) -> None:
    ended = run("--config", config_file, "send", config_file, "--to", "PACS")
    assert ended.code == 1
    assert ended.err == f"error: {config_file}: cannot be sent (InvalidDicomError)\n"


# --- the process -------------------------------------------------------------------------------


def test_as_a_process(config_file: Path) -> None:
    """The exit code reaches the shell, and only the answer is on standard output."""
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "dicom_node", "--config", str(config_file)),
            *("explain", str(config_file), "--json"),
        ],
        cwd=PROJECT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == NOT_ELIGIBLE
    assert json.loads(ended.stdout)["eligible"] is False
    assert ended.stderr == ""
