"""Every encoding through the whole node: C-STORE in, SR and SC in a PACS, validators content."""

from __future__ import annotations

import csv
import os
from typing import TYPE_CHECKING, Any

import pydicom
import pytest
from PIL import Image
from pydicom.filereader import read_file_meta_info
from pydicom.uid import HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL, generate_uid

from dicom_node import scu
from dicom_node.config import Destination
from dicom_node.radiograph import read_picture, wrap_radiograph
from tests.encodings import ENCODINGS, LOSSY, encode
from tests.nodes import MODALITY, destination, running_node
from tests.validators import dciodvfy, pixelmed_sr

if TYPE_CHECKING:
    from pathlib import Path

    from tests.nodes import RunningNode
    from tests.peers import Dcmtk, Orthanc

KINDS: list[dict[str, Any]] = [
    {"bits_stored": 8, "photometric": "MONOCHROME1"},
    {"bits_stored": 10, "voi": "lut"},
    {"bits_stored": 12, "modality": "CR", "rescale": (2.0, -100.0)},
    {"bits_stored": 14, "photometric": "MONOCHROME1", "voi": "lut", "modality": "CR"},
    {"bits_stored": 16, "voi": "none", "presentation": "FOR PROCESSING"},
]
WITH_PIXELMED = 10
UNKNOWN_TO_DCMTK = {HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL}
SEX, TOLERANCE_MONTHS = "F", 0.5


@pytest.fixture
def source(tmp_path: Path, shared_data: Path) -> Path:
    """Return a girl's radiograph as a small PNG."""
    with (shared_data / "rsna" / "labels.csv").open() as file:
        girls = {row["id"] for row in csv.DictReader(file) if row["sex"] == SEX}
    picture = next(
        p for p in sorted((shared_data / "radiographs").glob("*.png")) if p.stem in girls
    )
    with Image.open(picture) as image:
        image.thumbnail((640, 640))
        image.save(tmp_path / "source.png")
    return tmp_path / "source.png"


def _renamed(path: Path) -> None:
    """Give a file UIDs of its own: each is a radiograph of its own to the node."""
    dataset = pydicom.dcmread(path)
    dataset.SOPInstanceUID = generate_uid(prefix=None)
    dataset.StudyInstanceUID = generate_uid(prefix=None)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(path)


def _encoded(folder: Path, source: Path, dcmtk: Dcmtk) -> tuple[list[Path], set[str]]:
    """Return a file for each kind and each encoding, and which of them are lossy."""
    files, lossy = [], set()
    for number, kind in enumerate(KINDS):
        plain = folder / f"kind-{number}.dcm"
        wrapped = wrap_radiograph(read_picture(source), sex=SEX, age_months=120, **kind)
        wrapped.save_as(plain, enforce_file_format=True)
        files.append(plain)
    base = folder / "base.dcm"
    wrap_radiograph(read_picture(source), sex=SEX, age_months=120, bits_stored=8).save_as(
        base, enforce_file_format=True
    )
    for encoding in ENCODINGS:
        path = encode(encoding, base, dcmtk)
        _renamed(path)
        files.append(path)
        if encoding in LOSSY:
            lossy.add(str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID))
    return files, lossy


def _send(node: RunningNode, file: Path) -> None:
    """Send a file by DCMTK, or, where DCMTK does not know its transfer syntax, by pynetdicom."""
    syntax = read_file_meta_info(file).TransferSyntaxUID
    if syntax not in UNKNOWN_TO_DCMTK:
        node.store([file])
        return
    peer = Destination(name="node", ae_title="BONEAGE", host="127.0.0.1", port=node.port)
    assert [transfer.status for transfer in scu.store(MODALITY, peer, [file])] == [0x0000]


@pytest.mark.validate
@pytest.mark.timeout(600)
def test_every_encoding_comes_back_valid_and_says_the_same(
    tmp_path: Path, source: Path, dcmtk: Dcmtk, orthanc: Orthanc
) -> None:
    files, lossy = _encoded(tmp_path, source, dcmtk)
    pacs = destination("PACS", orthanc.ae_title, orthanc.port)
    with running_node(tmp_path, dcmtk, destinations=[pacs]) as node:
        for file in files:
            _send(node, file)
        jobs = node.wait_for("sent", len(files), seconds=400)
        ages = {job["sop_instance_uid"]: job["bone_age_months"] for job in jobs}
        results = {job["id"]: node.show(job["id"])["outputs"] for job in jobs}
        paths = [
            node.config.data_directory / output["file"]
            for outputs in results.values()
            for output in outputs
        ]
        complaints = {path.name: found for path in paths if (found := dciodvfy(path))}
        assert complaints == {}
        reports = [path for path in paths if "-sr-" in path.name]
        checked = reports if os.environ.get("VALIDATE_ALL") else reports[:WITH_PIXELMED]
        assert pixelmed_sr(*checked) == []
    assert len(orthanc.instances()) == 2 * len(files)
    lossless = [age for uid, age in ages.items() if uid not in lossy]
    assert max(lossless) - min(lossless) <= TOLERANCE_MONTHS
