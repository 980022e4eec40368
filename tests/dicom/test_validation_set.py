"""SR and SC of hundreds of different sources before every validator: not one error.

In the ordinary run a part of them, which still has every header, syntax and character set; all of
them where VALIDATE_ALL is set (`make validate`).
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pydicom
import pytest
from highdicom.sr import MeasurementReport, srread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from dicom_node import vocabulary as v
from dicom_node.pixels import read_picture_pixels
from dicom_node.secondary_capture import build_secondary_capture
from dicom_node.source_header import (
    chronological_age_months,
    complete_header,
    identity_of,
    laterality,
    recorded_sex,
)
from dicom_node.structured_report import build_structured_report
from tests.encodings import ENCODINGS
from tests.samples import a_finding, an_identity, written
from tests.validators import dcentvfy, dciodvfy, dsrdump, pixelmed_sr
from tests.variety import DEPTHS, HEADERS, NAMES, Variant, variants

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom import Dataset

    from dicom_node.finding import Finding
    from tests.peers import Dcmtk

ALL, SOME = 220, 24
WITH_PIXELMED = 10
"""Of the shorter set: PixelMed takes a second or two for each."""


@dataclass(frozen=True, slots=True)
class Results:
    """What was made of one source.

    Attributes
    ----------
    variant : Variant
        What the source is.
    finding : Finding
        What the results say.
    header, report, capture : Path
        The files; of the source, its header as `in_their_words` has it.
    """

    variant: Variant
    finding: Finding
    header: Path
    report: Path
    capture: Path


def find(variant: Variant, source: Dataset) -> Finding:
    """Return a finding that differs from source to source, with what the header says."""
    months = 3 + 11 * variant.number % 222
    by_sex = {"M": months + 5.0, "F": months - 1.0}
    sex = recorded_sex(source)
    return a_finding(
        age_months=chronological_age_months(source),
        laterality=laterality(source),
        bone_age_months=float(months),
        interval_months=(max(months - 15.5, 0.0), min(months + 16.5, 228.0)),
        sex=sex,
        by_sex=by_sex if sex == "unknown" else None,
    )


def make(variant: Variant, folder: Path, dcmtk: Dcmtk) -> Results:
    """Write a source, read it back as the node does, and write its results."""
    path = variant.write(folder, dcmtk)
    source = pydicom.dcmread(path)
    picture = read_picture_pixels(source)
    finding = find(variant, source)
    capture = build_secondary_capture(source, picture, finding, an_identity(series_number=9101))
    report = build_structured_report(source, finding, an_identity(), heatmap=capture)
    return Results(
        variant,
        finding,
        written(in_their_words(variant, source), path.with_suffix(".header.dcm")),
        written(report, path.with_suffix(".sr.dcm")),
        written(capture, path.with_suffix(".sc.dcm")),
    )


def in_their_words(variant: Variant, source: Dataset) -> Dataset:
    """Return a source's header as dcentvfy can compare it, which knows bytes and no Unicode.

    A header that the results repeat byte for byte stays as it is; another is given their identity.
    """
    header = pydicom.Dataset(source)
    del header.PixelData
    # DCMTK's lossy encoders name the image that they encoded, which is not of this study.
    header.pop("SourceImageSequence", None)
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    if not variant.keeps_identity:
        header.decode()
        header.SpecificCharacterSet = "ISO_IR 192"
        header.update(identity_of(complete_header(source)))
    return header


def complaints(results: Results) -> list[str]:
    """Return what dciodvfy, dcentvfy, dsrdump and highdicom have against the results of one."""
    found = [*dciodvfy(results.report), *dciodvfy(results.capture)]
    found += dcentvfy(results.header, results.capture, results.report)
    if v.BONE_AGE.meaning not in dsrdump(results.report):
        found.append("dsrdump shows no bone age")
    content = srread(results.report).content
    assert isinstance(content, MeasurementReport)
    for group in content.get_image_measurement_groups():
        (bone_age,) = group.get_measurements(v.BONE_AGE)
        if bone_age.value != results.finding.estimate.bone_age_months:
            found.append(f"highdicom reads {bone_age.value}")
    return [f"{results.variant}: {line}" for line in found]


@pytest.mark.validate
@pytest.mark.timeout(1200)
@pytest.mark.usefixtures("strict_writing")
def test_the_results_of_every_source_are_valid(
    tmp_path: Path, shared_data: Path, dcmtk: Dcmtk, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = sorted((shared_data / "radiographs").glob("*.png"))
    count, with_pixelmed = (ALL, ALL) if os.environ.get("VALIDATE_ALL") else (SOME, WITH_PIXELMED)
    chosen = variants(pictures, count)
    made = [make(variant, tmp_path, dcmtk) for variant in chosen]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = [line for lines in pool.map(complaints, made) for line in lines]
    found += pixelmed_sr(*(results.report for results in made[:with_pixelmed]))
    assert found == []
    for results in made:
        for path in (results.report, results.capture):
            result = pydicom.dcmread(path, stop_before_pixels=True)
            assert result.PatientName == expected_name(results.variant)
    with capsys.disabled():
        print(f" {len(made)} sources valid, {with_pixelmed} by PixelMed too ", end="")  # noqa: T201


def expected_name(variant: Variant) -> str:
    """Return the name that a result must bear."""
    return str(HEADERS[variant.header].get("PatientName", variant.name) or "")


def test_the_shorter_set_has_every_header_depth_syntax_and_name(tmp_path: Path) -> None:
    some = variants([tmp_path], SOME)
    assert {one.header for one in some} == set(HEADERS)
    assert {one.bits for one in some} == set(DEPTHS)
    assert {one.encoding for one in some} == set(ENCODINGS)
    assert {one.name for one in some} == {name for _, name in NAMES}


def test_no_two_sources_are_alike(tmp_path: Path) -> None:
    alike = [
        (one.side_px, one.bits, one.header, one.name, one.encoding.name, str(one.kind))
        for one in variants([tmp_path], ALL)
    ]
    assert len(set(alike)) == ALL >= 200
