"""The page over archives, against Orthanc; and what it says where there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydicom.uid import generate_uid

from dicom_node import retriever
from tests.nodes import listening
from tests.peers import HOST, free_port
from tests.samples import a_source, written

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx

    from dicom_node.node import Node
    from tests.peers import Orthanc

LEFT_OPEN = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
"""pynetdicom leaves the socket of a connection that failed."""


def configuration(port: int, archive_port: int, caller: str = "ORTHANC") -> str:
    return (
        f"node: {{host: {HOST}, port: {port}}}\n"
        f"callers: [{{ae_title: {caller}}}]\n"
        f"archives: [{{name: PACS, ae_title: ORTHANC, host: {HOST}, port: {archive_port}}}]\n"
    )


def test_a_study_is_found_and_retrieved_on_the_page(
    make_node: Callable[[str], Node],
    client_of: Callable[[Node], httpx.Client],
    orthanc: Orthanc,
    tmp_path: Path,
) -> None:
    port = free_port()
    node = make_node(configuration(port, orthanc.port))
    client = client_of(node)
    orthanc.add_modality("node", "BONEAGE", port)
    uid = generate_uid()
    header: dict[str, Any] = {"SOPInstanceUID": generate_uid(), "Rows": 512, "Columns": 512}
    source = a_source(StudyInstanceUID=uid, PatientName="<b>Doe^Jane", **header)
    orthanc.upload(written(source, tmp_path / "hand.dcm"))

    form = client.get("/archives").text
    assert 'action="/archives/query"' in form
    asked = {"archive": "PACS", "patient_name": "*Doe*", "date_from": "2026-01-01", "date_to": ""}
    found = client.post("/archives/query", data=asked).text
    assert "&lt;b&gt;Doe^Jane" in found
    assert f'value="{uid}"' in found
    assert 'value="*Doe*"' in found

    with listening(node):
        chosen = {"archive": "PACS", "study": [uid], "everything": "false"}
        answer = client.post("/archives/retrieve", data=chosen)
        assert (answer.status_code, answer.headers["location"]) == (303, "/archives#retrievals")
        waiting = client.get("/archives/retrievals").text
        assert 'hx-trigger="every 2s"' in waiting
        retriever.retrieve(node, 1)
    done = client.get("/archives").text
    assert '<span class="state tone-good">done</span>' in done
    assert '<a href="/jobs/1">1</a>' in done
    assert "every 2s" not in done
    shown = client.get("/api/retrievals/1").json()
    assert (shown["state"], shown["completed"], shown["actor"]) == ("done", 1, "admin")
    assert client.get("/api/retrievals").json() == [shown]
    again = client.post("/api/archives/PACS/query", json={"patient_id": "P1"}).json()
    assert (again["studies"][0]["here"], again["is_whole"]) == (1, True)


@LEFT_OPEN
def test_what_cannot_be_is_said(
    make_node: Callable[[str], Node], client_of: Callable[[Node], httpx.Client]
) -> None:
    client = client_of(make_node(configuration(free_port(), 1, caller="MODALITY")))
    page = client.get("/archives").text
    assert "ORTHANC, which is not among the <code>callers</code>" in page

    def said(address: str, form: dict[str, Any]) -> tuple[int, str]:
        answer = client.post(address, data=form)
        return answer.status_code, answer.text

    assert said("/archives/query", {"archive": "PACS"})[0] == 400
    away = said("/archives/query", {"archive": "PACS", "patient_id": "P1"})
    assert away[0] == 502
    assert "cannot be reached" in away[1]
    assert said("/archives/query", {"archive": "<x>", "patient_id": "P1"})[0] == 404
    assert said("/archives/retrieve", {"archive": "PACS"})[0] == 400
    assert said("/archives/retrieve", {"archive": "PACS", "study": "../x"})[0] == 400
    wanted = {"study_instance_uids": ["1.2", "1.2"]}
    assert client.post("/api/archives/PACS/retrievals", json=wanted).json() == [1]
    assert client.post("/api/archives/NONE/retrievals", json=wanted).status_code == 404
    for odd in (b'{"patient_id": "\\ud800"}', b'{"patient_name": "a\\u0000b"}'):
        answer = client.post(
            "/api/archives/PACS/query", content=odd, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 400
    assert client.get("/api/retrievals/2147483648").status_code == 404
    assert client.get("/api/archives").json()[0]["retrieve"] == "move"


def test_without_an_archive_the_page_says_how_to_name_one(client: httpx.Client) -> None:
    assert "No archive yet" in client.get("/archives").text
