"""The connections: each destination tried step by step, and a sample file that is not kept."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from dicom_node.probe import probe
from tests.builders import a_destination, cr_header, write_dicom
from tests.peers import HOST, wait_until
from worklist import connections_page

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx

    from dicom_node.node import Node
    from tests.peers import Dcmtk

# pynetdicom drops a socket whose connection was refused without closing it.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

ROUTED = """
callers: [{{ae_title: CR_ROOM_1}}]
destinations:
  - {{name: PACS, ae_title: ARCHIVE, host: 127.0.0.1, port: {port}}}
  - {{name: Away, ae_title: AWAY, host: 127.0.0.1, port: 1}}
routes:
  - {{name: ward, calling_ae_titles: [CR_ROOM_1], destinations: [PACS]}}
  - {{name: others, calling_ae_titles: [CR_ROOM_2], destinations: [Away]}}
"""


def names(steps: list[dict[str, object]]) -> list[tuple[object, object]]:
    return [(step["name"], step["good"]) for step in steps]


def test_the_name_of_a_host() -> None:
    found = probe("BONEAGE", a_destination(host="no-such-host.invalid"))
    assert names(found.as_values()) == [("address", False)]
    assert "cannot be resolved" in found.steps[-1].detail


def test_nobody_at_the_port() -> None:
    found = probe("BONEAGE", a_destination())
    assert names(found.as_values()) == [("address", True), ("tcp", False)]
    assert found.steps[-1].detail == "refused: nothing listens at 127.0.0.1, port 1"


def test_somebody_who_says_nothing() -> None:
    """The connection is open; an association is never answered."""
    with socket.create_server((HOST, 0)) as silent:
        port = silent.getsockname()[1]
        found = probe("BONEAGE", a_destination(port=port, timeout_seconds=1))
    assert names(found.as_values()) == [("address", True), ("tcp", True), ("association", False)]
    assert found.steps[-1].detail == "timed out: no answer within 1 s"


def test_a_rejection_and_its_reason(dcmtk: Dcmtk) -> None:
    with dcmtk.storescp(extra_args=["--refuse"]) as archive:
        found = probe("BONEAGE", a_destination(port=archive.port))
    assert names(found.as_values())[-1] == ("association", False)
    assert found.steps[-1].detail.startswith("association rejected: ")


def test_a_peer_that_answers(dcmtk: Dcmtk) -> None:
    with dcmtk.storescp() as archive:
        found = probe("BONEAGE", a_destination(port=archive.port))
    assert found.failed is None
    assert [step.name for step in found.steps] == ["address", "tcp", "association", "echo"]


def test_the_page_tests_in_the_background(
    dcmtk: Dcmtk, make_node: Callable[[str], Node], client_of: Callable[[Node], httpx.Client]
) -> None:
    with dcmtk.storescp() as archive:
        client = client_of(make_node(ROUTED.format(port=archive.port)))
        assert client.get("/connections").text.count("not tested") == 2
        answer = client.post("/connections/echo", data={"destination": "PACS"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/connections")
        fragment = client.post(
            "/connections/echo", data={"destination": "Away"}, headers={"HX-Request": "true"}
        )
        assert "testing" in fragment.text

        def ended(name: str) -> dict[str, object] | None:
            test: dict[str, object] = client.get(f"/api/connections/{name}/echo").json()
            return None if test["running"] else test

        assert wait_until(lambda: ended("PACS"), 20, "the test of PACS")["failed_step"] is None
        assert wait_until(lambda: ended("Away"), 20, "the test of Away")["failed_step"] == "tcp"
        page = client.get("/connections").text
        assert "answers" in page
        assert "TCP failed" in page
        assert client.post("/connections/echo", data={"destination": "X"}).status_code == 404
        assert client.post("/api/connections/Away/echo").status_code == 202


def test_a_sample_is_explained_and_not_kept(
    tmp_path: Path,
    make_node: Callable[[str], Node],
    client_of: Callable[[Node], httpx.Client],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    node = make_node(ROUTED.format(port=1))
    client = client_of(node)
    hand = write_dicom(tmp_path / "hand.dcm", cr_header()).read_bytes()
    kept = sorted(node.storage.root.rglob("*.dcm"))
    answer = client.post(
        "/connections/sample", data={"calling": "CR_ROOM_1"}, files={"sample": ("h.dcm", hand)}
    )
    assert answer.status_code == 200
    assert "would be assessed" in answer.text
    found = client.post("/api/connections/sample?calling=CR_ROOM_1", content=hand).json()
    assert found["eligible"]
    assert (found["routes"], found["destinations"]) == (["ward"], ["PACS"])
    chest = write_dicom(tmp_path / "chest.dcm", cr_header(BodyPartExamined="CHEST")).read_bytes()
    refused = client.post("/connections/sample", files={"sample": ("c.dcm", chest)})
    assert "not eligible" in refused.text
    for rubbish in (b"", b"\0" * 300, hand[:200]):
        assert client.post("/api/connections/sample", content=rubbish).json()["eligible"] is False
    assert client.post("/connections/sample", data={"calling": "X"}).status_code == 400
    with monkeypatch.context() as smaller:
        smaller.setattr(connections_page, "SAMPLE_LIMIT_BYTES", 100)
        assert client.post("/api/connections/sample", content=hand).status_code == 413
    assert client.post("/api/connections/sample", content=iter([b"x"])).status_code == 413, (
        "of unknown length"
    )
    (tmp_path / "chest.dcm").unlink()
    (tmp_path / "hand.dcm").unlink()
    assert sorted(node.storage.root.rglob("*.dcm")) == [
        path for path in kept if path.name != "hand.dcm"
    ]
