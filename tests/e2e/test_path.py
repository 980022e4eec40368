"""From a modality's C-STORE to SR and SC in a real PACS, on both databases and brokers."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
from PIL import Image

from dicom_node.pixels import read_picture_pixels
from dicom_node.radiograph import read_picture, wrap_radiograph
from tests.nodes import destination, running_node
from tests.peers import free_port
from tests.validators import dciodvfy

if TYPE_CHECKING:
    from pathlib import Path

    from tests.nodes import RunningNode
    from tests.peers import Dcmtk, Orthanc


def _radiographs(shared_data: Path, count: int) -> list[tuple[Path, str, float]]:
    """Return pictures with their sex and the age that their label gives."""
    with (shared_data / "rsna" / "labels.csv").open() as file:
        labels = {row["id"]: row for row in csv.DictReader(file)}
    pictures = sorted((shared_data / "radiographs").glob("*.png"))[:count]
    return [(p, labels[p.stem]["sex"], float(labels[p.stem]["bone_age_months"])) for p in pictures]


def _wrapped(folder: Path, shared_data: Path, count: int, **options: Any) -> list[Path]:  # noqa: ANN401
    """Wrap radiographs as a modality would send them."""
    files = []
    for picture, sex, months in _radiographs(shared_data, count):
        dataset = wrap_radiograph(
            read_picture(picture), **{"sex": sex, "age_months": months, **options}
        )
        path = folder / f"{picture.stem}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        files.append(path)
    return files


def _bone_age_in(report: pydicom.Dataset) -> float:
    """Return the LOINC 85151-9 value of a report."""
    found: list[float] = []

    def visit(items: Any) -> None:  # noqa: ANN401 - a sequence
        for item in items:
            name = item.get("ConceptNameCodeSequence")
            if name and name[0].CodeValue == "85151-9" and item.ValueType == "NUM":
                found.append(float(item.MeasuredValueSequence[0].NumericValue))
            visit(item.get("ContentSequence") or [])

    visit(report.ContentSequence)
    return found[0]


def _check_in_orthanc(node: RunningNode, orthanc: Orthanc, jobs: list[dict[str, Any]]) -> None:
    """Check that each job's SR and SC lie in the source's study, as they were made."""
    for job in jobs:
        shown = node.show(job["id"])
        assert {output["kind"] for output in shown["outputs"]} == {"sr", "sr-2d", "sc"}
        for output in shown["outputs"]:
            found = orthanc.find(output["sop_instance_uid"])
            if output["kind"] == "sr-2d":  # for archives that refuse the other
                assert (found, output["statuses"]) == (None, {})
                continue
            assert found is not None
            stored = pydicom.dcmread(BytesIO(orthanc.instance_file(found)))
            assert stored.StudyInstanceUID == job["study_instance_uid"]
            assert stored.file_meta.MediaStorageSOPInstanceUID == output["sop_instance_uid"]
            assert output["statuses"] == {"PACS": 0}


def test_radiographs_come_back_as_report_and_heatmap(
    tmp_path: Path, shared_data: Path, dcmtk: Dcmtk, orthanc: Orthanc
) -> None:
    files = _wrapped(tmp_path, shared_data, 3)
    pacs = destination("PACS", orthanc.ae_title, orthanc.port)
    with running_node(tmp_path, dcmtk, destinations=[pacs]) as node:
        node.store(files)
        jobs = node.wait_for("sent", len(files))
        _check_in_orthanc(node, orthanc, jobs)
        node.store(files)  # the same again: success, and no second job
        assert len(node.jobs()) == len(files)
        for job in jobs:
            for output in node.show(job["id"])["outputs"]:
                assert dciodvfy(node.config.data_directory / output["file"]) == []
    assert len(orthanc.instances()) == 2 * len(files)


def test_postgresql_and_redis_by_two_urls(
    tmp_path: Path,
    shared_data: Path,
    dcmtk: Dcmtk,
    orthanc: Orthanc,
    postgresql: str,
    redis_server: str,
) -> None:
    files = _wrapped(tmp_path, shared_data, 2, modality="CR")
    pacs = destination("PACS", orthanc.ae_title, orthanc.port)
    with running_node(
        tmp_path,
        dcmtk,
        destinations=[pacs],
        database={"url": postgresql},
        broker={"url": redis_server},
        node={"host": "127.0.0.1", "port": free_port(), "listeners": 2},
    ) as node:
        node.store(files)
        _check_in_orthanc(node, orthanc, node.wait_for("sent", len(files)))


def test_number_in_report_is_that_of_predict(
    tmp_path: Path, shared_data: Path, dcmtk: Dcmtk, orthanc: Orthanc
) -> None:
    """The SR's bone age equals ``models predict`` on the rendered picture within 0.5 months."""
    bits = (8, 10, 12, 14, 16)
    files = []
    for (picture, sex, months), stored in zip(
        _radiographs(shared_data, len(bits)), bits, strict=True
    ):
        inverted = stored == 14
        dataset = wrap_radiograph(
            read_picture(picture),
            sex=sex,
            age_months=months,
            bits_stored=stored,
            photometric="MONOCHROME1" if inverted else "MONOCHROME2",
        )
        path = tmp_path / f"{picture.stem}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        files.append((path, sex))
    pacs = destination("PACS", orthanc.ae_title, orthanc.port)
    with running_node(tmp_path, dcmtk, destinations=[pacs]) as node:
        node.store([path for path, _ in files])
        jobs = {job["sop_instance_uid"]: job for job in node.wait_for("sent", len(files))}
        for path, sex in files:
            source = pydicom.dcmread(path)
            rendered = np.rint(read_picture_pixels(source) * 65535).astype(np.uint16)
            Image.fromarray(rendered).save(path.with_suffix(".png"))
            shown = node.show(jobs[source.SOPInstanceUID]["id"])
            report = next(o for o in shown["outputs"] if o["kind"] == "sr")
            value = _bone_age_in(pydicom.dcmread(node.config.data_directory / report["file"]))
            assert value == pytest.approx(_predict(path.with_suffix(".png"), sex), abs=0.5)


def _predict(picture: Path, sex: str) -> float:
    """Return what the networks' own command line says of a picture."""
    command = [sys.executable, "-m", "models", "predict", str(picture), "--sex", sex, "--json"]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(json.loads(answer)["bone_age_months"])


def test_unknown_sex_is_said_and_never_assumed(
    tmp_path: Path, shared_data: Path, dcmtk: Dcmtk, orthanc: Orthanc
) -> None:
    files = _wrapped(tmp_path, shared_data, 1, sex=None)
    pacs = destination("PACS", orthanc.ae_title, orthanc.port)
    with running_node(tmp_path, dcmtk, destinations=[pacs]) as node:
        node.store(files)
        job = node.show(node.wait_for("sent", 1)[0]["id"])
    finding = job["finding"]
    assert finding["sex"] == "unknown"
    assert set(finding["by_sex"]) == {"M", "F"}
    assert finding["z_score"] is None


def test_negatives_are_refused_with_a_reason(
    tmp_path: Path, shared_data: Path, dcmtk: Dcmtk
) -> None:
    files = sorted((shared_data / "negatives").glob("*.dcm"))
    with running_node(tmp_path, dcmtk) as node:
        sent = [dcmtk.storescu([path], node.port) for path in files]
        stored = sum(result.returncode == 0 for result in sent)
        assert stored >= 4  # the MR's SOP class is not even negotiated
        for job in node.wait_for("rejected", stored):
            assert job["reason"]
        for path in files:
            command = [sys.executable, "-m", "dicom_node", "--config", str(node.config_file)]
            answer = subprocess.run(
                [*command, "explain", str(path), "--json"],
                check=False,
                capture_output=True,
                text=True,
            )
            assert answer.returncode == 3, path
            assert json.loads(answer.stdout)["reason"]


def test_corrected_resend_is_a_new_revision(
    tmp_path: Path, shared_data: Path, dcmtk: Dcmtk, orthanc: Orthanc
) -> None:
    (path,) = _wrapped(tmp_path, shared_data, 1)
    pacs = destination("PACS", orthanc.ae_title, orthanc.port)
    with running_node(tmp_path, dcmtk, destinations=[pacs]) as node:
        node.store([path])
        (first,) = node.wait_for("sent", 1)
        corrected = pydicom.dcmread(path)
        corrected.PatientSex = "M" if corrected.PatientSex == "F" else "F"
        corrected.save_as(path)
        node.store([path])
        second = node.wait_for("sent", 2)[-1]
        assert (second["rerun_of"], second["revision"]) == (first["id"], 2)
        old, new = (
            {output["kind"]: output for output in node.show(job["id"])["outputs"]}
            for job in (first, second)
        )
        report = pydicom.dcmread(node.config.data_directory / new["sr"]["file"])
        predecessor = report.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
        named = predecessor.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        assert named == old["sr"]["sop_instance_uid"]
        assert new["sr"]["series_instance_uid"] == old["sr"]["series_instance_uid"]
        assert orthanc.find(old["sr"]["sop_instance_uid"]) is not None
