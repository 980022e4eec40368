"""Asking archives and retrieving from them: Orthanc, and DCMTK's dcmqrscp."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pydicom
import pytest
from pydicom.uid import generate_uid
from sqlalchemy import select
from typer.testing import CliRunner

from dicom_node import migrations, query, retrievals, retriever
from dicom_node.cli import app
from dicom_node.config import load_config
from dicom_node.db import InstanceRow, JobRow, RetrievalRow, now
from dicom_node.errors import ConfigError, NodeError, PeerError, QuestionError
from dicom_node.node import Node
from dicom_node.query import Question, find_studies
from dicom_node.states import JobState, RetrievalState
from dicom_node.sweep import sweep_once
from tests.nodes import listening, write_config
from tests.peers import HOST
from tests.samples import a_source, written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.peers import Dcmtk, Orthanc

NODE = "BONEAGE"
LEFT_OPEN = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
"""pynetdicom leaves the socket of a connection that failed."""


def a_study(folder: Path, *images: dict[str, Any], **study: Any) -> list[Path]:  # noqa: ANN401
    """Write the files of one study, each image in a series of its own."""
    uid = study.pop("StudyInstanceUID", generate_uid())
    files = []
    for image in images or ({},):
        own = {"SeriesInstanceUID": generate_uid(), "SOPInstanceUID": generate_uid()}
        source = a_source(StudyInstanceUID=uid, **{**own, **study, **image})
        files.append(written(source, folder / f"{source.SOPInstanceUID}.dcm"))
    return files


@pytest.fixture
def make_node(tmp_path: Path) -> Iterator[Callable[..., Node]]:
    """Return what makes a listening node that knows an archive."""
    stack = ExitStack()

    def make(ae_title: str, port: int, retrieve: str = "move", **values: Any) -> Node:  # noqa: ANN401
        archive = {"name": "PACS", "ae_title": ae_title, "host": HOST, "port": port}
        archives = [{**archive, "timeout_seconds": 10, "retrieve": retrieve}]
        callers = [{"ae_title": ae_title}]
        file = write_config(tmp_path, **{"archives": archives, "callers": callers, **values})
        node = Node.of(load_config(file))
        migrations.upgrade(node.config)
        stack.callback(node.close)
        stack.enter_context(listening(node))
        return node

    with stack:
        yield make


def asked(node: Node, *, limit: int = 100, **question: Any) -> query.Found:  # noqa: ANN401
    peer = node.config.archive("PACS")
    return find_studies(node.config.node.ae_title, peer, Question(**question), limit)


def retrieved(
    node: Node, *uids: str, everything: bool = False
) -> list[tuple[RetrievalState, int, int, str | None]]:
    """Have studies sent, as a worker does, and return how each ended."""
    ids = retriever.order(node, "PACS", uids, actor="tester", everything=everything)
    for retrieval_id in ids:
        retriever.retrieve(node, retrieval_id)
    with node.database.read() as session:
        rows = [session.get_one(RetrievalRow, one) for one in ids]
        return [(row.state, row.completed, row.failed, row.reason) for row in rows]


def instances(node: Node) -> list[InstanceRow]:
    with node.database.read() as session:
        return list(session.scalars(select(InstanceRow)))


def known(orthanc: Orthanc, node: Node) -> Orthanc:
    orthanc.add_modality("node", NODE, node.config.node.port)
    return orthanc


def uid_of(files: list[Path]) -> str:
    return str(pydicom.dcmread(files[0]).StudyInstanceUID)


# --- asking ---------------------------------------------------------------------------------------


def test_studies_are_found_by_what_they_are_asked_for(
    orthanc: Orthanc, make_node: Callable[..., Node], tmp_path: Path
) -> None:
    node = make_node(orthanc.ae_title, orthanc.port)
    known(orthanc, node)
    old = a_study(tmp_path, PatientID="P1", StudyDate="20240105", AccessionNumber="A7")
    new = a_study(
        tmp_path,
        {"Modality": "DX"},
        PatientID="P2",
        StudyDate="20250105",
        PatientName="Müller^Jürgen",
        SpecificCharacterSet="ISO_IR 192",
    )
    foot = a_study(tmp_path, {"BodyPartExamined": "FOOT"}, PatientID="P2", StudyDate="20250301")
    for file in (*old, *new, *foot):
        orthanc.upload(file)
    the_old, the_new, the_foot = map(uid_of, (old, new, foot))

    def uids(**question: Any) -> list[str]:  # noqa: ANN401
        return [study.study_instance_uid for study in asked(node, **question).studies]

    assert uids(patient_id="P1") == [the_old]
    assert uids(accession_number="A7") == [the_old]
    assert uids(study_date="20240101-20250201") == [the_new, the_old]
    assert uids(study_date="20250201-") == [the_foot]
    assert uids(study_date="-20240105") == [the_old]
    assert uids(study_date="20250101-", modality="dx") == [the_new]
    assert uids(patient_name="müller^j*") == [the_new]
    assert uids(patient_id="P2", body_part="hand") == [the_new]
    (found,) = asked(node, patient_name="Müller*").studies
    assert found.patient_name == "Müller^Jürgen"
    assert (found.modalities, found.series) == (("DX",), None)
    by_part = asked(node, patient_id="P2", body_part="HAND")
    assert "compared here" in by_part.remarks[0]
    (series,) = by_part.studies[0].series or ()
    assert (series.modality, series.body_part_examined) == ("DX", "HAND")


def test_what_goes_beyond_the_limit_is_cancelled(
    orthanc: Orthanc, make_node: Callable[..., Node], tmp_path: Path
) -> None:
    node = make_node(orthanc.ae_title, orthanc.port)
    known(orthanc, node)
    for _ in range(5):
        orthanc.upload(*a_study(tmp_path))
    for limit, is_whole in ((2, False), (4, False), (5, True), (6, True)):
        found = asked(node, limit=limit, patient_id="P1")
        assert (len(found.studies), found.is_whole) == (min(limit, 5), is_whole)


@pytest.mark.parametrize(
    "question",
    [
        {},
        {"patient_id": "**"},
        {"modality": "CR"},
        {"patient_id": "a\\b"},
        {"patient_id": "P" * 65},
        {"patient_name": "a\nb"},
        {"study_date": "2024"},
        {"study_date": "20241301"},
        {"study_date": "-"},
        {"study_date": "2024010120240102"},
        {"patient_id": "P1", "body_part": "H" * 17},
    ],
)
def test_a_question_that_cannot_be_is_not_asked(question: dict[str, str]) -> None:
    with pytest.raises(QuestionError) as refused:
        Question(**question).check()
    assert "P" * 65 not in str(refused.value)


@LEFT_OPEN
def test_an_archive_that_is_away_or_refuses(make_node: Callable[..., Node], dcmtk: Dcmtk) -> None:
    node = make_node("ORTHANC", 1)
    with pytest.raises(PeerError, match="cannot be reached"):
        asked(node, patient_id="P1")
    assert retrieved(node, "1.2.3") == [
        (RetrievalState.FAILED, 0, 0, "association aborted, or the peer cannot be reached")
    ]
    peer = node.config.archive("PACS")
    listener = peer.model_copy(update={"ae_title": NODE, "port": node.config.node.port})
    with pytest.raises(PeerError, match="Calling AE title not recognised"):
        find_studies("STRANGER", listener, Question("P1"), 5)
    with dcmtk.storescp(accepting=()) as storage, pytest.raises(PeerError, match="neither queries"):
        find_studies(
            NODE,
            peer.model_copy(update={"ae_title": storage.ae_title, "port": storage.port}),
            Question("P1"),
            5,
        )
    with pytest.raises(ConfigError, match="none is named"):
        retriever.order(node, "NOWHERE", ["1.2"], actor="a", everything=False)
    with pytest.raises(QuestionError, match="not a UID"):
        retriever.order(node, "PACS", ["../x"], actor="a", everything=False)


# --- retrieving -----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["move", "get"])
@pytest.mark.parametrize("who", ["orthanc", "qrscp"])
def test_a_study_is_retrieved(
    request: pytest.FixtureRequest,
    make_node: Callable[..., Node],
    dcmtk: Dcmtk,
    tmp_path: Path,
    how: str,
    who: str,
) -> None:
    """Of a hand, a foot and a CT only the hand is wanted; the second time all of the study."""
    hand = {"StudyDate": "20240105", "Rows": 512, "Columns": 512}
    ct = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "Modality": "CT"}
    files = a_study(tmp_path, {}, {"BodyPartExamined": "FOOT"}, ct, **hand)
    uid = uid_of(files)
    if who == "orthanc":
        orthanc: Orthanc = request.getfixturevalue("orthanc")
        node = make_node(orthanc.ae_title, orthanc.port, how)
        known(orthanc, node)
        for file in files:
            orthanc.upload(file)
        _check_retrieval(node, uid, orthanc.ae_title)
        return
    node = make_node("QRSCP", 1, how)
    with dcmtk.qrscp({NODE: node.config.node.port}) as archive:
        assert dcmtk.storescu(files, archive.port, called="QRSCP").returncode == 0
        object.__setattr__(node.config.archives[0], "port", archive.port)
        assert [one.study_instance_uid for one in asked(node, patient_id="P1").studies] == [uid]
        _check_retrieval(node, uid, "QRSCP")


def _check_retrieval(node: Node, uid: str, ae_title: str) -> None:
    # dcmqrscp says no BodyPartExamined of a series: then the foot may be a hand.
    ((state, completed, failed, reason),) = retrieved(node, uid)
    assert (state, failed, reason) == (RetrievalState.DONE, 0, None)
    assert completed == len(instances(node))
    assert completed == (1 if ae_title == "ORTHANC" else 2)
    assert {row.calling_ae_title for row in instances(node)} == {ae_title}
    with node.database.read() as session:
        assert retrievals.present(session, [uid, "1.2"]) == {uid: completed}
        assert len(retrievals.jobs_of_study(session, uid, 9)) == completed
    ((state, completed, failed, reason),) = retrieved(node, uid, everything=True)
    assert state == RetrievalState.DONE
    assert len(instances(node)) == 2
    assert (completed, failed) == (2, 1)
    assert reason is not None
    assert "1 of 3 objects did not come" in reason
    ((state, *_, reason),) = retrieved(node, "1.2.3.4")
    assert state == RetrievalState.FAILED
    assert reason == "the archive has nothing of this study"


def test_an_archive_that_may_not_call_or_does_not_know_us(
    orthanc: Orthanc, make_node: Callable[..., Node], tmp_path: Path
) -> None:
    node = make_node(orthanc.ae_title, orthanc.port, callers=[{"ae_title": "OTHER"}])
    (file,) = a_study(tmp_path)
    orthanc.upload(file)
    ((state, *_, reason),) = retrieved(node, uid_of([file]))
    assert state == RetrievalState.FAILED
    assert reason is not None
    assert reason.startswith("ORTHANC may not send to us: add it to `callers`")
    orthanc.add_modality("stranger", "STRANGER", 1)
    peer = node.config.archive("PACS")
    with query.conversation("STRANGER", peer, query.MOVE) as talk:
        keys = {"StudyInstanceUID": uid_of([file])}
        with pytest.raises(PeerError, match=r"C-MOVE answered with|does not know where"):
            list(talk.retrieve("STUDY", keys, "NOBODY"))


def test_a_retrieval_whose_worker_died_goes_on_and_in_the_end_says_so(
    make_node: Callable[..., Node],
) -> None:
    node = make_node("ORTHANC", 1)
    (first, second, third) = retriever.order(
        node, "PACS", ["1.1", "1.2", "1.3", "1.1"], actor="a", everything=False
    )
    for attempt in range(1, retrievals.ATTEMPTS + 1):
        with node.database.write() as session:
            assert retrievals.claim(session, first, f"dead-{attempt}", -1.0, 1)
            assert not retrievals.claim(session, first, "other", 60.0, None)
            assert not retrievals.claim(session, second, "other", 60.0, 1)
            assert retrievals.lost(session, now(), 0, 9) == [second, third]
        done = sweep_once(node)
        assert done["retrievals_freed"] == (attempt < retrievals.ATTEMPTS)
    with node.database.read() as session:
        ended = retrievals.get(session, first)
        assert ended is not None
        assert (ended.state, ended.reason) == (
            RetrievalState.FAILED,
            "given up after 3 attempts: the worker died",
        )
        assert [one.id for one in retrievals.newest(session, 2, before=third)] == [second, first]
        assert retrievals.next_waiting(session) == second


# --- the commands ---------------------------------------------------------------------------------


def command(node: Node, *arguments: str) -> tuple[int, str, str]:
    """Run a command in this process; returns exit code, standard output and error."""
    config = str(node.config.data_directory.parent / "config.yaml")
    result = CliRunner().invoke(app, ["--config", config, *arguments])
    code = result.exception.exit_code if isinstance(result.exception, NodeError) else None
    return code or result.exit_code, result.stdout, result.stderr


def test_the_commands(orthanc: Orthanc, make_node: Callable[..., Node], tmp_path: Path) -> None:
    node = make_node(orthanc.ae_title, orthanc.port)
    (file,) = a_study(tmp_path, {"Rows": 512, "Columns": 512})
    orthanc.upload(file)
    known(orthanc, node)
    uid = uid_of([file])

    _, before, _ = command(node, "query", "PACS", "--patient-id", "P1", "--json")
    studies = json.loads(before)["studies"]
    assert [(one["study_instance_uid"], one["here"]) for one in studies] == [(uid, 0)]
    code, out, log = command(node, "retrieve", "PACS", uid, "1.2.3", "--json")
    ended = json.loads(out)
    assert (code, [one["state"] for one in ended]) == (6, ["done", "failed"])
    assert len(ended[0]["jobs"]) == 1
    _, after, _ = command(node, "query", "PACS", "--patient-name", "Doe*", "--body-part", "HAND")
    assert "compared here" in after
    assert "Doe" not in log
    assert command(node, "query", "PACS")[0] == 2
    assert command(node, "query", "NOWHERE", "--patient-id", "P1")[0] == 2
    with node.database.read() as session:
        assert session.scalars(select(JobRow.state)).all() == [JobState.QUEUED]
        said = [retrievals.words(one) for one in retrievals.newest(session, 2)]
    assert said == ["failed: the archive has nothing of this study", "done, 1 completed"]
