"""Headers as they come: each ends in two objects that can be read, or in a named rejection.

A report takes highdicom some 30 ms, so that two tests share the work: one goes over thousands of
headers as far as the copy that both objects are made from, one over some hundreds to the objects
themselves, with one drawn page for all of them. ``VALIDATE_ALL=1`` makes the second as long as
the first, and puts more objects before the validators.
"""

from __future__ import annotations

import os
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from dicom_node import secondary_capture
from dicom_node.config import Config
from dicom_node.header import kept, read_header, settle_text
from dicom_node.intake import verdict
from dicom_node.report_page import draw_page
from dicom_node.secondary_capture import build_secondary_capture
from dicom_node.source_header import (
    chronological_age_months,
    complete_header,
    laterality,
    recorded_sex,
)
from dicom_node.structured_report import build_structured_report
from tests.headers import Drawn, headers
from tests.samples import a_finding, an_identity
from tests.validators import dcentvfy, dciodvfy

if TYPE_CHECKING:
    from pathlib import Path

# As in the node (`dicom_node.log.configure`): these warnings repeat what they warn of.
pytestmark = [
    pytest.mark.filterwarnings(r"ignore:::pydicom(\..*)?"),
    pytest.mark.filterwarnings(r"ignore:::highdicom(\..*)?"),
]

ALL = bool(os.environ.get("VALIDATE_ALL"))
HEADERS = 2000
OBJECTS = HEADERS if ALL else 150
VALIDATED = 400 if ALL else 40
PICTURE = np.linspace(0, 1, 40 * 30, dtype=np.float32).reshape(40, 30)


def examples(count: int) -> settings:
    """Return settings for so many headers, the same ones at every run."""
    return settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )


@pytest.fixture
def one_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let one page that was really drawn serve every header: no header decides how it looks."""
    page = draw_page(PICTURE, a_finding())
    monkeypatch.setattr(secondary_capture, "draw_page", lambda *_: page)


def texts_of(dataset: Dataset, keyword: str) -> str:
    """Return the text of an attribute that is there, with its values as one."""
    value = dataset[keyword].value
    values = value if isinstance(value, MultiValue) else [value]
    return "\\".join("" if one is None else str(one).rstrip("= ") for one in values)


def as_received(drawn: Drawn, folder: Path) -> tuple[Path, Dataset]:
    """Write a header and return what the listener reads of it."""
    path = folder / "source.dcm"
    path.write_bytes(drawn.content)
    return path, read_header(path)


def assert_intact(dataset: Dataset, drawn: Drawn) -> None:
    """Check that patient and study are called what the source calls them."""
    for keyword in ("PatientName", "PatientID", "StudyDescription", "ReferringPhysicianName"):
        if keyword == "StudyDescription" and keyword not in drawn.texts:
            assert keyword not in dataset
            continue
        assert texts_of(dataset, keyword) == drawn.texts.get(keyword, "")


def written(dataset: Dataset) -> Dataset:
    """Return a data set as it is read from its file."""
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    buffer.seek(0)
    return pydicom.dcmread(buffer)


@examples(HEADERS)
@given(drawn=headers())
def test_every_header_is_rejected_by_name_or_gives_a_sound_copy(
    drawn: Drawn, tmp_path: Path
) -> None:
    _, header = as_received(drawn, tmp_path)
    kept(header)
    reason = verdict(Config(), "MODALITY", header)
    assert (reason is None) == drawn.is_eligible
    age = chronological_age_months(header)
    assert age == pytest.approx(drawn.age_months, abs=1.1)
    assert recorded_sex(header) in {"M", "F", "unknown"}
    assert laterality(header) in {"L", "R", None}
    if reason is not None:
        assert reason.strip()
        assert reason.isprintable()
        return
    assert_intact(complete_header(header), drawn)


@pytest.mark.usefixtures("one_page")
@examples(OBJECTS)
@given(drawn=headers())
def test_every_eligible_header_gives_two_objects(drawn: Drawn, tmp_path: Path) -> None:
    path, header = as_received(drawn, tmp_path)
    if verdict(Config(), "MODALITY", header) is not None:
        assert not drawn.is_eligible
        return
    source = pydicom.dcmread(path)
    settle_text(source)
    finding = a_finding(age_months=chronological_age_months(source), laterality=laterality(source))

    capture = build_secondary_capture(source, PICTURE, finding, an_identity())
    report = build_structured_report(source, finding, an_identity(), heatmap=capture)

    for result in (written(report), written(capture)):
        assert_intact(result, drawn)
        assert result.StudyInstanceUID == header.StudyInstanceUID.strip()
        assert result.SpecificCharacterSet == "ISO_IR 192"


@pytest.mark.usefixtures("one_page")
@examples(VALIDATED)
@given(drawn=headers(sound=True))
def test_validators_find_no_error_in_results_of_sound_headers(drawn: Drawn, tmp_path: Path) -> None:
    """Sound but for its character set: what else is wrong in a source stays wrong in a result."""
    path, source = as_received(drawn, tmp_path)
    finding = a_finding(age_months=drawn.age_months, laterality=laterality(source))
    capture = build_secondary_capture(source, PICTURE, finding, an_identity())
    report = build_structured_report(source, finding, an_identity(), heatmap=capture)
    paths = [tmp_path / "sc.dcm", tmp_path / "sr.dcm"]
    for result, file in zip((capture, report), paths, strict=True):
        result.save_as(file, enforce_file_format=True)
        assert [line for line in dciodvfy(file) if line.startswith("Error")] == []
    if drawn.script == "ASCII":  # it compares bytes, and results are in UTF-8
        assert [line for line in dcentvfy(path, *paths) if line.startswith("Error")] == []
