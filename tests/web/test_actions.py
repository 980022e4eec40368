"""Every action as a person does it: review, confirm, and what became of it."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select

from dicom_node import batches, jobs, records
from dicom_node.actions import Order
from dicom_node.db import EventRow, JobRow
from dicom_node.states import DeliveryState, JobState, Priority
from tests.builders import cr_header, kept_instance
from tests.peers import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx

    from dicom_node.node import Node
    from tests.web.conftest import Jobs

pytestmark = pytest.mark.usefixtures("broker")
SECONDS = 30.0


def text_of(answer: httpx.Response) -> str:
    """Return what a page says, on one line."""
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", answer.text)).split())


def fields_of(answer: httpx.Response) -> dict[str, str]:
    """Return what the form of a review page sends when nothing is chosen."""
    found = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', answer.text)
    return {name: html.unescape(value) for name, value in found}


def eligible(node: Node, make: Jobs, folder: Path) -> int:
    """Return an assessed job whose file is there."""
    instance = kept_instance(node.storage, folder, cr_header())
    with node.database.write() as session:
        job_id = jobs.receive(session, instance)
    assert job_id is not None
    make.move(job_id, JobState.RECEIVED, JobState.QUEUED)
    with node.database.write() as session:
        assert jobs.claim(session, job_id, "w", 45)
    make.move(job_id, JobState.RUNNING, JobState.REPORTED)
    return job_id


def job_of(node: Node, job_id: int) -> JobRow:
    with node.database.read() as session:
        return jobs.get(session, job_id)


def last_event(node: Node, job_id: int) -> tuple[str, str, str | None]:
    query = select(EventRow).where(EventRow.job_id == job_id).order_by(EventRow.id.desc())
    with node.database.read() as session:
        event = session.scalars(query).first()
    assert event is not None
    return event.to_state, event.actor, event.reason


def test_one_job_is_run_again_with_what_was_chosen(
    client: httpx.Client, node: Node, make: Jobs, tmp_path: Path
) -> None:
    job_id = eligible(node, make, tmp_path)
    page = client.get(f"/jobs/{job_id}")
    assert f'href="/actions/rerun?job={job_id}"' in page.text
    review = client.get(f"/actions/rerun?job={job_id}")
    assert review.status_code == 200
    assert f"Re-run job {job_id}?" in text_of(review)
    assert node.broker.depth("assess") == 0
    chosen = {"sex": "M", "birth_date": "2013-06-01", "weights": "tjnet-cpu", "priority": "urgent"}
    done = client.post("/actions/rerun/do", data={**fields_of(review), **chosen})
    assert (done.status_code, done.headers["location"]) == (303, f"/jobs/{job_id + 1}")
    new = job_of(node, job_id + 1)
    assert (new.rerun_of, new.weights, new.priority) == (job_id, "tjnet-cpu", Priority.URGENT)
    assert {item["keyword"]: (item["value"], item["actor"]) for item in new.corrections or []} == {
        "PatientSex": ("M", "admin"),
        "PatientBirthDate": ("20130601", "admin"),
    }
    assert node.broker.depth("assess", Priority.URGENT) == 1
    again = client.get(f"/jobs/{job_id + 1}")
    assert f'href="/compare/{job_id}/{job_id + 1}"' in again.text
    assert f'href="/compare/{job_id}/{job_id + 1}"' in client.get(f"/jobs/{job_id}").text
    for wrong, told in (
        ({"weights": "none"}, "no weights of this name"),
        ({"sex": "X"}, "PatientSex is corrected to one of M, F, unknown"),
        ({"birth_date": "2999-01-01"}, "a day of the past"),
        ({"priority": "soon"}, "a priority is one of urgent, normal, bulk"),
        ({"jobs": "x"}, "a selected job is no number"),
        ({"jobs": ""}, "no job is selected"),
    ):
        answer = client.post("/actions/rerun/do", data={**fields_of(review), **wrong})
        assert (answer.status_code, told in text_of(answer)) == (422, True)
        assert "2999" not in answer.text
    gone = client.post("/actions/rerun/do", data={"job": "999"})
    assert (gone.status_code, "no job 999" in text_of(gone)) == (404, True)
    again = client.post("/actions/rerun/do", data={"job": str(job_id + 1)})
    assert (again.status_code, "it will be assessed anyway" in text_of(again)) == (409, True)


def test_a_selection_is_a_batch_whose_page_shows_how_far_it_is(
    client: httpx.Client, node: Node, make: Jobs, tmp_path: Path
) -> None:
    ids = [eligible(node, make, tmp_path) for _ in range(3)]
    waiting = make.queued()
    selected = {"job": [*map(str, ids), str(waiting)]}
    review = client.post("/actions/rerun", data=selected)
    assert "It is done with 3 jobs of 4. The others are skipped:" in text_of(review)
    assert "1: the job is queued: it will be assessed anyway" in text_of(review)
    done = client.post("/actions/rerun/do", data=fields_of(review))
    assert (done.status_code, done.headers["location"]) == (303, "/batches/1")

    def api() -> dict[str, object]:
        answer: dict[str, object] = client.get("/api/batches/1").json()
        return answer

    wait_until(lambda: api()["finished_at"], SECONDS, "the batch")
    assert api()["reruns"] == {"queued": 3}
    page = client.get("/batches/1")
    assert "1 of 4 settled" in text_of(page)
    assert 'hx-trigger="every 2s"' in page.text
    make.move(waiting + 1, JobState.QUEUED, JobState.RUNNING)
    make.move(waiting + 1, JobState.RUNNING, JobState.REPORTED)
    part = client.get("/batches/1/progress")
    assert "2 of 4 settled" in text_of(part)
    assert "<html" not in part.text
    assert client.post("/batches/1/cancel").headers["location"] == "/batches/1"
    page = client.get("/batches/1")
    assert "Cancelled by admin" in text_of(page)
    assert "hx-trigger" not in page.text
    assert last_event(node, waiting + 2) == ("cancelled", "admin", "batch 1 was cancelled")
    assert client.post("/batches/1/cancel").status_code == 409
    assert "Batch 1: re-run 4 jobs" in text_of(client.get("/batches"))
    for address in ("/batches/2", "/batches/2/progress", "/api/batches/2"):
        assert client.get(address).status_code == 404


def test_all_that_a_filter_shows_and_nothing_that_came_after(
    client: httpx.Client, node: Node, make: Jobs
) -> None:
    made = [make.queued() for _ in range(3)]
    rejected = make.rejected("a foot")
    review = client.post("/actions/cancel", data={"scope": "filter", "state": "queued", "job": "9"})
    assert "It is done with 3 jobs of 3 that the filter shows." in text_of(review)
    late = make.queued()
    done = client.post("/actions/cancel/do", data=fields_of(review))
    assert done.headers["location"] == "/batches/1"
    wait_until(lambda: job_of(node, made[-1]).state == "cancelled", SECONDS, "the last one")
    assert [job_of(node, one).state for one in made] == [JobState.CANCELLED] * 3
    assert (job_of(node, late).state, job_of(node, rejected).state) == ("queued", "rejected")
    assert last_event(node, made[0])[:2] == ("cancelled", "admin")
    body = {"action": "priority", "priority": "bulk", "filter": {"state": ["queued"]}}
    assert client.post("/api/batches", json=body).json()["total"] == 1
    wait_until(lambda: job_of(node, late).priority == "bulk", SECONDS, "the priority")
    listed = {
        "all": "yes",
        "filter": "state=rejected",
        "job": str(late),
    }  # as the list's form has it
    assert f"Accept job {rejected}?" in text_of(client.post("/actions/accept", data=listed))
    wrong = client.post("/actions/cancel", data={"scope": "filter", "state": "asleep"})
    assert (wrong.status_code, "asleep" in text_of(wrong)) == (422, True)


def test_a_failed_send_goes_to_one_destination_again(
    client: httpx.Client, node: Node, make: Jobs
) -> None:
    job_id, (first, second) = make.reported(120.0, destinations=("PACS", "WARD"))
    for delivery_id in (first, second):
        make.deliver(delivery_id, DeliveryState.REFUSED, "no room")
    make.settle(job_id)
    page = client.get(f"/jobs/{job_id}").text
    assert f'href="/actions/retry?job={job_id}&amp;destination=WARD"' in page
    review = client.get("/actions/retry", params={"job": job_id, "destination": "WARD"})
    assert "Only what goes to WARD ." in text_of(review)
    done = client.post("/actions/retry/do", data=fields_of(review))
    assert done.headers["location"] == f"/jobs/{job_id}"
    with node.database.read() as session:
        sent = records.show_job(session, job_id)["destinations"]
    assert {one["name"]: one["state"] for one in sent} == {"PACS": "refused", "WARD": "waiting"}
    assert node.broker.depth("send") == 1
    assert client.post("/actions/retry/do", data=fields_of(review)).status_code == 409


def test_only_an_admin_accepts_and_only_an_operator_acts(
    client: httpx.Client, client_as: Callable[[str], httpx.Client], node: Node, make: Jobs
) -> None:
    job_id = make.rejected("body part FOOT, not a hand")
    accept = {"job": str(job_id), "overrule_gate": "yes"}
    for role in ("viewer", "operator"):
        lesser = client_as(role)
        assert lesser.post("/actions/accept/do", data=accept).status_code == 403
        api = lesser.post(f"/api/jobs/{job_id}/accept", json={})
        assert api.status_code == 403
        batch = lesser.post("/api/batches", json={"action": "accept", "jobs": [job_id]})
        assert batch.status_code == 403
        cancel = lesser.post(f"/api/jobs/{job_id}/cancel")
        assert cancel.status_code == (403 if role == "viewer" else 409)
    assert job_of(node, job_id).state == JobState.REJECTED
    review = client.get(f"/actions/accept?job={job_id}")
    assert "body part FOOT, not a hand" in text_of(review)
    assert client.post("/actions/accept/do", data=accept).status_code == 303
    assert (job_of(node, job_id).accepted or {})["overrule_gate"] is True
    said = "accepted: the rules for header and image overruled"
    assert last_event(node, job_id) == ("queued", "admin", said)


def test_a_note_is_shown_with_who_and_when_and_never_as_a_script(
    client: httpx.Client, make: Jobs
) -> None:
    job_id = make.queued()
    text = "<script>alert('note')</script>"
    kept = client.post(f"/jobs/{job_id}/notes", data={"text": text})
    assert kept.headers["location"] == f"/jobs/{job_id}#notes"
    page = client.get(f"/jobs/{job_id}")
    assert "<script>alert" not in page.text
    assert f"{text} admin," in text_of(page) or text in html.unescape(page.text)
    assert client.post(f"/jobs/{job_id}/notes", data={"text": " "}).status_code == 422
    assert client.post("/jobs/999/notes", data={"text": "x"}).status_code == 404


def test_a_rerun_stands_beside_its_predecessor(
    client: httpx.Client, node: Node, make: Jobs
) -> None:
    old, _ = make.reported(120.0, report="Bone age 10 y 0 m\n")
    with node.database.write() as session:
        new = jobs.rerun(session, old, "ada", {"PatientSex": "M", "PatientBirthDate": "20130601"})
    other = make.queued()
    page = client.get(f"/compare/{old}/{new}")
    words = text_of(page)
    assert "Bone age differs 10 years (120.0 months) none" in words
    assert "Corrections differs none sex M by ada, birth date by ada" in words
    assert "Z-score none none" in words
    assert "20130601" not in page.text
    assert "Bone age 10 y 0 m" in words
    assert client.get(f"/compare/{old}/{other}").status_code == 409
    assert client.get(f"/compare/{old}/999").status_code == 404


def test_the_interface_for_programs(
    client: httpx.Client, node: Node, make: Jobs, tmp_path: Path
) -> None:
    done, rejected = eligible(node, make, tmp_path), make.rejected("a foot")
    waiting = make.queued()
    answer = client.post(f"/api/jobs/{done}/rerun", json={"corrected": {"PatientSex": "M"}})
    new = answer.json()["id"]
    assert (answer.status_code, answer.json()["state"]) == (201, "queued")
    good: tuple[tuple[str, Any, dict[str, Any]], ...] = (
        (f"jobs/{rejected}/accept", {"overrule_gate": False}, {"state": "queued"}),
        (f"jobs/{waiting}/priority", {"priority": "bulk"}, {"state": "queued"}),
        (f"jobs/{waiting}/notes", {"text": "seen"}, {"id": waiting}),
        (f"jobs/{waiting}/cancel", None, {"state": "cancelled"}),
    )
    for address, body, said in good:
        found = client.post(f"/api/{address}", json=body)
        assert found.status_code in {200, 201}
        assert found.json().items() >= said.items()
    bad: tuple[tuple[int, str, Any, str], ...] = (
        (404, "jobs/999/rerun", {}, "no job 999"),
        (409, f"jobs/{new}/rerun", {}, "it will be assessed anyway"),
        (409, f"jobs/{done}/cancel", None, "it cannot become cancelled"),
        (409, f"jobs/{done}/retry", {}, "there is nothing to try again"),
        (409, f"jobs/{done}/priority", {"priority": "bulk"}, "it does not wait"),
        (422, f"jobs/{done}/rerun", {"weights": "none"}, "no weights of this name"),
        (422, f"jobs/{done}/rerun", {"corrected": {"PatientSex": "X"}}, "corrected to one of"),
        (422, f"jobs/{done}/rerun", {"corrected": {"PatientName": "X"}}, "corrected"),
        (422, f"jobs/{done}/rerun", {"weight": "x"}, "weight"),
        (422, f"jobs/{done}/priority", {"priority": "soon"}, "priority"),
        (422, f"jobs/{done}/notes", {"text": "\n"}, "1 to 2000 characters"),
        (422, "batches", {"action": "rerun"}, "1 to 100000 jobs, not 0"),
        (422, "batches", {"action": "delete", "jobs": [done]}, "action"),
        (422, "batches", {"action": "cancel", "jobs": [1], "filter": {}}, "not both"),
        (404, "batches", {"action": "rerun", "jobs": [done, 2**70]}, "no job"),
        (404, "batches/9/cancel", None, "no batch 9"),
    )
    for status, address, body, words in bad:
        answer = client.post(f"/api/{address}", json=body)
        assert (address, answer.status_code) == (address, status)
        assert words in answer.json()["detail"]
    batch = client.post("/api/batches", json={"action": "rerun", "jobs": [done], "weights": None})
    assert (batch.status_code, batch.json()["total"]) == (202, 1)


def test_two_operators_at_once_see_one_batch_each(
    client: httpx.Client, node: Node, make: Jobs, tmp_path: Path
) -> None:
    job_id = eligible(node, make, tmp_path)
    both = [batches.create(node, name, Order("rerun"), [job_id]) for name in ("ada", "bob")]
    for batch_id in both:
        batches.run(node, batch_id)
    found = [client.get(f"/api/batches/{one}").json() for one in both]
    assert [(one["actor"], one["done"]) for one in found] == [("ada", 1), ("bob", 1)]
    with node.database.read() as session:
        reruns = records.show_job(session, job_id)["reruns"]
    assert len(reruns) == 2
