"""Jobs as others read them, and whether the disk holds what the rows say."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from dicom_node import deliveries, jobs, records
from dicom_node.db import JobFileRow
from dicom_node.errors import NoSuchJobError
from dicom_node.states import DeliveryState, JobState
from dicom_node.verify import verify
from tests.builders import add_job, add_output, cr_header, kept_instance, new_instance

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dicom_node.db import Database
    from dicom_node.node import Node

CONTRACT = {
    *("id", "state", "reason", "sop_instance_uid", "study_instance_uid", "bone_age_months"),
    *("rerun_of", "destinations"),
}


def listed(database: Database, **values: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    with database.read() as session:
        found = records.list_jobs(session, **values)
    assert json.loads(json.dumps(found)) == found
    return found


def test_no_jobs(database: Database) -> None:
    assert listed(database) == []


def test_a_job_in_the_form_of_the_contract(database: Database) -> None:
    instance = new_instance()
    with database.write() as session:
        job_id = add_job(session, JobState.RUNNING, instance)
        moved = (JobState.RUNNING, JobState.REPORTED)
        jobs.move(session, job_id, *moved, values={"bone_age_months": 124.2})
        _, refused = deliveries.create(session, job_id, ["PACS", "WARD"])
        assert deliveries.claim(session, refused, "send@test", 45)
        moved_delivery = (DeliveryState.SENDING, DeliveryState.REFUSED)
        deliveries.move(session, refused, *moved_delivery, reason="SR: answered with A900")
        again = jobs.rerun(session, job_id, "admin")
    new, job = listed(database)
    assert set(job) >= CONTRACT
    assert {key: job[key] for key in CONTRACT} == {
        "id": job_id,
        "state": "reported",
        "reason": None,
        "sop_instance_uid": instance.sop_instance_uid,
        "study_instance_uid": instance.study_instance_uid,
        "bone_age_months": 124.2,
        "rerun_of": None,
        "destinations": [
            {"name": "PACS", "state": "waiting", "reason": None},
            {"name": "WARD", "state": "refused", "reason": "SR: answered with A900"},
        ],
    }
    assert (new["id"], new["rerun_of"], new["bone_age_months"]) == (again, job_id, None)
    assert new["destinations"] == []
    for moment in ("received_at", "updated_at"):
        assert datetime.fromisoformat(job[moment]).utcoffset() == timedelta(0)


def test_a_header_is_not_listed(database: Database) -> None:
    with database.write() as session:
        job_id = add_job(session, instance=new_instance({"PatientName": "Doe^Jane"}))
    assert "Doe" not in json.dumps(listed(database))
    with database.read() as session:
        assert "Doe" not in json.dumps(records.show_job(session, job_id))


def test_pages_by_state(database: Database) -> None:
    with database.write() as session:
        ids = [add_job(session, JobState.REJECTED) for _ in range(5)]
        add_job(session, JobState.QUEUED)

    def ids_of(**values: Any) -> list[int]:  # noqa: ANN401
        return [job["id"] for job in listed(database, **values)]

    assert len(ids_of()) == 6
    assert ids_of(state=JobState.REJECTED, limit=2) == [ids[4], ids[3]]
    assert ids_of(state=JobState.REJECTED, limit=2, before=ids[3]) == [ids[2], ids[1]]
    assert ids_of(state=JobState.SENT) == []


def test_more_jobs_than_a_statement_takes(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "IDS_AT_ONCE", 2)
    with database.write() as session:
        for name in ("A", "B", "C", "D", "E"):
            deliveries.create(session, add_job(session, JobState.REPORTED), [name])
    names = [[sent["name"] for sent in job["destinations"]] for job in listed(database)]
    assert names == [["E"], ["D"], ["C"], ["B"], ["A"]]


def test_one_job_with_all_that_belongs_to_it(database: Database) -> None:
    with database.write() as session:
        job_id = add_job(session, JobState.REPORTED)
        capture, report = (add_output(session, job_id, kind) for kind in ("sc", "sr"))
        first, second = deliveries.create(session, job_id, ["PACS", "WARD"])
        deliveries.keep_status(session, first, report, 0x0000)
        deliveries.keep_status(session, second, report, 0xA700)
        deliveries.keep_status(session, second, capture, 0xB007)
    with database.read() as session:
        job = records.show_job(session, job_id)
    assert json.loads(json.dumps(job)) == job
    assert {output["kind"]: output["statuses"] for output in job["outputs"]} == {
        "sc": {"WARD": 0xB007},
        "sr": {"PACS": 0x0000, "WARD": 0xA700},
    }
    moves = [(event["delivery"], event["from"], event["to"]) for event in job["events"]]
    assert moves == [
        (None, None, "received"),
        (None, "received", "queued"),
        (None, "queued", "running"),
        (None, "running", "reported"),
        (first, None, "waiting"),
        (second, None, "waiting"),
    ]
    assert job["finding"] is None


def test_no_such_job(database: Database) -> None:
    with database.read() as session, pytest.raises(NoSuchJobError):
        records.show_job(session, 1)


# --- verify ------------------------------------------------------------------------------------


def altered(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:200])


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (None, None),
        (altered, "altered"),
        (emptied, "cannot be read"),
        (cut, "cannot be read"),
        (lambda file: file.unlink(), "missing"),
    ],
    ids=["whole", "altered", "emptied", "cut", "missing"],
)
def test_verify_received(
    node: Node, tmp_path: Path, damage: Callable[[Path], None] | None, said: str | None
) -> None:
    instance = kept_instance(node.storage, tmp_path, cr_header())
    with node.database.write() as session:
        add_job(session, instance=instance)
        add_job(session, instance=kept_instance(node.storage, tmp_path, cr_header()))
    file = node.storage.absolute(instance.path)
    if damage is not None:
        damage(file)
    found = verify(node)
    assert found["files"] == 2
    if said is None:
        assert found["problems"] == []
    else:
        [problem] = found["problems"]
        assert problem.startswith(f"{file}: {said}")


def test_verify_results(node: Node) -> None:
    kept = [node.storage.keep_result(cr_header(), 1, kind) for kind in ("sc", "sr")]
    with node.database.write() as session:
        job_id = add_job(session, JobState.REPORTED)
        for (path, sha256), kind in zip(kept, ("sc", "sr"), strict=True):
            add_output(session, job_id, kind, path=path, sha256=sha256)
    # The instance of this job has no file of its own.
    assert [line.rpartition(": ")[2] for line in verify(node)["problems"]] == ["missing"]
    file = node.storage.absolute(kept[1][0])
    altered(file)
    assert verify(node)["problems"][1:] == [f"{file}: altered"]
    file.unlink()
    assert verify(node)["problems"][1:] == [f"{file}: missing"]


def test_verify_what_a_job_keeps_for_itself(node: Node) -> None:
    path, sha256 = node.storage.keep_job_file(b"a picture", 1, "heatmap.png")
    with node.database.write() as session:
        job_id = add_job(session, JobState.REPORTED)
        session.add(JobFileRow(job_id=job_id, kind="heatmap", path=path, sha256=sha256))
    assert len(verify(node)["problems"]) == 1  # the instance's file
    file = node.storage.absolute(path)
    file.write_bytes(b"another")
    assert verify(node)["problems"][1:] == [f"{file}: altered"]
