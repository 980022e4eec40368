"""Files brought by the page, the API and the command line; what is hostile is only answered."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pydicom
import pytest
from pydicom.uid import MPEG2MPML, MediaStorageDirectoryStorage
from sqlalchemy import select

from dicom_node import zips
from dicom_node.db import InstanceRow
from dicom_node.file_meta import rewrite
from dicom_node.storage import content_hash
from tests.builders import CALLER, cr_header, write_dicom
from tests.nodes import listening
from tests.peers import HOST, free_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from dicom_node.node import Node
    from tests.peers import Dcmtk

PROJECT = Path(__file__).resolve().parents[2]
DICOM = {"Content-Type": "application/dicom"}
ZIP = {"Content-Type": "application/zip"}

PYDICOM_SAYS = pytest.mark.filterwarnings(r"ignore::UserWarning:pydicom(\..*)?")
"""That a value or a file is not as it should be, when it is read."""


@pytest.fixture
def radiograph(tmp_path: Path) -> Path:
    """Return the file of a hand radiograph that is assessed."""
    return write_dicom(tmp_path / "hand.dcm", cr_header())


def answers(response: httpx.Response) -> list[dict[str, Any]]:
    files: list[dict[str, Any]] = response.json()["files"]
    return files


def zipped(*members: tuple[str, bytes]) -> bytes:
    """Return a zip of files, names as they are given."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


def leftovers(node: Node) -> list[Path]:
    """Return what an upload left among the half-received files."""
    return list(node.storage.partial.iterdir())


# --- the path -------------------------------------------------------------------------------------


def test_a_file_becomes_a_job_and_comes_again_as_the_same(
    node: Node, client: httpx.Client, radiograph: Path
) -> None:
    body = radiograph.read_bytes()
    first = client.post("/api/instances", content=body, headers=DICOM)
    assert (first.status_code, first.headers["content-type"]) == (200, "application/json")
    (answer,) = answers(first)
    assert (answer["outcome"], answer["state"]) == ("accepted", "queued")
    (again,) = answers(client.post("/api/instances", content=body, headers=DICOM))
    assert (again["outcome"], again["job_id"]) == ("present", answer["job_id"])

    with node.database.read() as session:
        (row,) = session.scalars(select(InstanceRow))
    assert (row.calling_ae_title, row.peer_address) == ("UPLOAD", "api:admin")
    kept = node.storage.absolute(row.path)
    assert (row.sha256, row.size_bytes) == (content_hash(kept), kept.stat().st_size)
    assert pydicom.dcmread(kept).PatientID == "TEST-1"
    assert leftovers(node) == []


def test_a_file_that_came_by_c_store_is_already_here(
    make_node: Callable[[str], Node],
    client_of: Callable[[Node], httpx.Client],
    radiograph: Path,
    dcmtk: Dcmtk,
) -> None:
    """The file's own preamble and meta information are not part of it."""
    port = free_port()
    node = make_node(f"callers: [{{ae_title: {CALLER}}}]\nnode: {{host: {HOST}, port: {port}}}\n")
    client = client_of(node)
    with listening(node):
        sent = dcmtk.storescu([radiograph], port, calling=CALLER)
        assert sent.returncode == 0, sent.stderr
    file = bytearray(radiograph.read_bytes())
    file[:2] = b"MZ"  # a preamble that is a program
    (answer,) = answers(client.post("/api/instances", content=bytes(file), headers=DICOM))
    assert (answer["outcome"], answer["job_id"]) == ("present", 1)


def test_a_corrected_file_is_a_new_revision(client: httpx.Client, tmp_path: Path) -> None:
    header = cr_header()
    old = write_dicom(tmp_path / "old.dcm", header)
    header.PatientSex = "M"
    new = write_dicom(tmp_path / "new.dcm", header)
    files = [("files", (path.name, path.read_bytes())) for path in (old, new)]
    first, second = answers(client.post("/api/instances", files=files))
    assert (first["job_id"], second["job_id"]) == (1, 2)
    assert "follows" in client.get("/").text


@PYDICOM_SAYS
def test_a_uid_with_a_leading_zero_is_taken_as_it_is(client: httpx.Client, tmp_path: Path) -> None:
    file = write_dicom(tmp_path / "f", cr_header(SOPInstanceUID="1.2.3.41")).read_bytes()
    body = file.replace(b"1.2.3.41", b"1.2.03.4")
    (answer,) = answers(client.post("/api/instances", content=body, headers=DICOM))
    assert answer["outcome"] == "accepted"


def test_what_is_written_before_the_data_set_is_ours(tmp_path: Path, radiograph: Path) -> None:
    """A file without the group length of its meta information, which the hash counts from."""
    file = radiograph.read_bytes()
    short = tmp_path / "short.dcm"
    short.write_bytes(b"\x7fELF".ljust(128, b"\xff") + file[128:132] + file[144:])
    rewrite(short, tmp_path / "ours.dcm")
    rewrite(radiograph, tmp_path / "whole.dcm")
    ours = (tmp_path / "ours.dcm").read_bytes()
    assert ours == (tmp_path / "whole.dcm").read_bytes()
    assert ours[:132] == bytes(128) + b"DICM"


def test_the_form_without_a_script(client: httpx.Client, radiograph: Path) -> None:
    page = client.get("/upload").text
    assert 'enctype="multipart/form-data"' in page
    files = [
        ("files", ("Doe^Jane.dcm", radiograph.read_bytes())),
        ("files", ("<b>.txt", b"no picture")),
    ]
    answer = client.post("/upload", files=files, data={"csrf_token": ""})
    assert answer.status_code == 200
    assert '<a href="/jobs/1">job 1</a> queued' in answer.text
    assert "&lt;b&gt;.txt" in answer.text
    assert "not a DICOM file" in answer.text


def test_a_zip_of_folders(client: httpx.Client, tmp_path: Path) -> None:
    hands = [write_dicom(tmp_path / f"{n}.dcm", cr_header()).read_bytes() for n in range(2)]
    foot = write_dicom(tmp_path / "foot.dcm", cr_header(BodyPartExamined="FOOT")).read_bytes()
    body = zipped(("disc/", b""), ("disc/a", hands[0]), ("disc/b/c", hands[1]), ("f.dcm", foot))
    response = client.post("/api/instances", content=body, headers=ZIP)
    assert [(a["name"], a["outcome"], a["state"]) for a in answers(response)] == [
        ("zip: disc/a", "accepted", "queued"),
        ("zip: disc/b/c", "accepted", "queued"),
        ("zip: f.dcm", "accepted", "rejected"),
    ]
    assert answers(response)[2]["reason"] == "body part FOOT, not a hand"


# --- what is refused ------------------------------------------------------------------------------


def _dicomdir(folder: Path) -> bytes:
    return write_dicom(
        folder / "dir", cr_header(SOPClassUID=MediaStorageDirectoryStorage)
    ).read_bytes()


def _compressed(folder: Path) -> bytes:
    header = cr_header()
    header.file_meta.TransferSyntaxUID = MPEG2MPML
    return write_dicom(folder / "mpeg", header).read_bytes()


@PYDICOM_SAYS
def test_each_file_that_is_no_radiograph_has_its_line(
    node: Node, client: httpx.Client, tmp_path: Path, radiograph: Path
) -> None:
    whole = radiograph.read_bytes()
    ct = cr_header(SOPClassUID="1.2.840.10008.5.1.4.1.1.2")
    uid = write_dicom(tmp_path / "uid", cr_header(SOPInstanceUID="1.2.3.4")).read_bytes()
    files = {
        "text": b"hello",
        "empty": b"",
        "cut": whole[:150],
        "damaged": whole[:200] + b"\xff" * 300,
        "dicomdir": _dicomdir(tmp_path),
        "ct": write_dicom(tmp_path / "ct", ct).read_bytes(),
        "uid": uid.replace(b"1.2.3.4", b"../../x"),
        "mpeg": _compressed(tmp_path),
        "Thumbs.db": b"thumbs",
        "../../etc/hand": whole,
    }
    response = client.post(
        "/api/instances", files=[("files", (name, body)) for name, body in files.items()]
    )
    assert response.status_code == 202
    said = {a["name"]: (a["outcome"], a["reason"]) for a in answers(response)}
    assert said.pop("../../etc/hand") == ("accepted", None)
    assert said["text"] == ("refused", "not a DICOM file")
    assert said["empty"] == ("refused", "the file is empty")
    assert said["dicomdir"] == ("skipped", "a DICOMDIR, the list of a disc's files")
    assert said["ct"] == ("refused", "not a radiograph: CT Image Storage")
    assert said["Thumbs.db"][0] == "skipped"
    assert said["uid"] == ("refused", "a UID of the data set is not a UID")
    assert said["mpeg"][1] == f"its transfer syntax cannot be decoded here: {MPEG2MPML.name}"
    assert {said[name][0] for name in ("cut", "damaged")} == {"refused"}
    assert len(list(node.storage.received.rglob("*.dcm"))) == 1
    assert leftovers(node) == []


def test_a_hostile_zip_is_unpacked_nowhere(
    node: Node, client: httpx.Client, tmp_path: Path
) -> None:
    hands = [write_dicom(tmp_path / f"{n}.dcm", cr_header()).read_bytes() for n in range(3)]
    body = zipped(
        (f"../../../..{tmp_path}/up", hands[0]),
        (f"{tmp_path}/absolute", hands[1]),
        ("inner.zip", zipped(("hand", hands[2]))),
        ("bad\x1b[2J\u202ename", b"x"),
    )
    before = {path for path in tmp_path.rglob("*") if node.storage.root not in path.parents}
    response = client.post("/api/instances", content=body, headers=ZIP)
    said = [(a["outcome"], a["reason"]) for a in answers(response)]
    assert said == [
        ("accepted", None),
        ("accepted", None),
        ("refused", "a zip within a zip is not opened"),
        ("refused", "not a DICOM file"),
    ]
    assert "\x1b" not in answers(response)[3]["name"]
    assert not (tmp_path / "up").exists()
    assert not (tmp_path / "absolute").exists()
    assert {p for p in tmp_path.rglob("*") if node.storage.root not in p.parents} == before
    assert leftovers(node) == []


def test_an_encrypted_and_a_damaged_member_have_their_lines(
    client: httpx.Client, radiograph: Path
) -> None:
    body = bytearray(zipped(("secret", b"x" * 50), ("hand", radiograph.read_bytes())))
    body[6] |= 1  # the flag in the local header ...
    central = body.index(b"PK\x01\x02")
    body[central + 8] |= 1  # ... and in the directory
    second = body.index(b"PK\x03\x04", 4)
    crc = body.index(b"PK\x01\x02", central + 4) + 16
    body[crc] ^= 0xFF
    assert second < central
    response = client.post("/api/instances", content=bytes(body), headers=ZIP)
    assert response.status_code == 409
    assert [a["reason"] for a in answers(response)] == [
        "it is encrypted",
        "it is damaged (BadZipFile)",
    ]


def test_a_bomb_ends_where_it_is_too_large(
    make_node: Callable[[str], Node], client_of: Callable[[Node], httpx.Client], radiograph: Path
) -> None:
    node = make_node("worklist: {upload_megabytes: 1}\n")
    client = client_of(node)
    hand = radiograph.read_bytes()
    body = zipped(("first", hand), ("bomb", bytes(30_000_000)), ("never", hand))
    assert len(body) < 100_000
    said = answers(client.post("/api/instances", content=body, headers=ZIP))
    assert [a["outcome"] for a in said] == ["accepted", "refused"]
    assert said[1]["reason"] == "the zip unpacks to more than 4 MB; nothing more of it is taken"
    assert leftovers(node) == []
    lying = body.replace(struct.pack("<L", 30_000_000), struct.pack("<L", 10))
    said = answers(client.post("/api/instances", content=lying, headers=ZIP))
    assert [a["outcome"] for a in said][:2] == ["present", "refused"]


def test_too_many_members_are_not_even_listed(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zips, "MOST_MEMBERS", 3)
    body = zipped(*((str(number), b"") for number in range(4)))
    (answer,) = answers(client.post("/api/instances", content=body, headers=ZIP))
    assert "too many files" in answer["reason"]
    cut = zipped(("a", b"b"))[:-30]
    (answer,) = answers(client.post("/api/instances", content=cut, headers=ZIP))
    assert answer["reason"] == "the zip is damaged: its end is missing"


@pytest.mark.parametrize("is_declared", [True, False])
def test_too_large_a_body_is_cut_off(
    make_node: Callable[[str], Node],
    client_of: Callable[[Node], httpx.Client],
    is_declared: bool,
) -> None:
    node = make_node("worklist: {upload_megabytes: 1}\n")
    client = client_of(node)
    body = bytes(1_000_001)
    content = body if is_declared else (body[n : n + 65_536] for n in range(0, len(body), 65_536))
    response = client.post("/api/instances", content=content, headers=DICOM)
    assert response.status_code == 413
    assert response.json()["error"] == "More than 1 MB; send fewer files at a time."
    assert leftovers(node) == []


def test_a_full_disk_takes_nothing(
    make_node: Callable[[str], Node], client_of: Callable[[Node], httpx.Client], radiograph: Path
) -> None:
    client = client_of(make_node("storage: {reserve_megabytes: 1000000000}\n"))
    body = radiograph.read_bytes()
    assert client.post("/api/instances", content=body, headers=DICOM).status_code == 507
    page = client.post("/upload", files={"files": ("a", body)})
    assert page.status_code == 507
    assert "The disk is nearly full" in page.text


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content-Type": "text/plain"}, b"x", 415),
        ({}, b"", 415),
        ({"Content-Type": "multipart/form-data"}, b"x", 415),
        ({"Content-Type": "multipart/form-data; boundary=b"}, b"no boundary", 400),
        ({"Content-Type": "multipart/form-data; boundary=b"}, b"--b\r\n\r\nx\r\n--b--", 400),
        ({"Content-Type": f"multipart/form-data; boundary={'b' * 300}"}, b"x", 400),
        ({"Content-Type": "multipart/form-data; boundary=b"}, b"", 400),
        (DICOM, b"", 409),
    ],
)
def test_a_body_that_is_no_upload(
    client: httpx.Client, headers: dict[str, str], body: bytes, status: int
) -> None:
    response = client.post("/api/instances", content=body, headers=headers)
    assert response.status_code == status
    assert response.json()["error"] or response.json()["files"]


# --- the command ----------------------------------------------------------------------------------


def _import(node: Node, *arguments: str) -> subprocess.CompletedProcess[str]:
    config = node.config.data_directory / "config.yaml"
    command = [sys.executable, "-m", "dicom_node", "--config", str(config), "import", *arguments]
    return subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=60, cwd=PROJECT
    )


def test_the_command_takes_folders_and_zips(node: Node, tmp_path: Path, radiograph: Path) -> None:
    folder = tmp_path / "Doe^Jane"
    (folder / "inner").mkdir(parents=True)
    second = write_dicom(tmp_path / "2.dcm", cr_header()).read_bytes()
    (folder / "all.zip").write_bytes(zipped(("b", second)))
    (folder / "inner" / "a.dcm").write_bytes(radiograph.read_bytes())
    (folder / "link").symlink_to("/etc/passwd")
    good = _import(node, str(folder), "--json")
    assert good.returncode == 0, good.stderr
    said = json.loads(good.stdout)
    assert [a["outcome"] for a in said] == ["accepted", "accepted"]
    assert radiograph.exists()
    (folder / "notes.txt").write_text("no picture")
    refused = _import(node, str(folder))
    assert refused.returncode == 3
    assert "already here as job 1" in refused.stdout
    assert "notes.txt: refused: not a DICOM file" in refused.stdout
    assert "Jane" not in good.stderr + refused.stderr
