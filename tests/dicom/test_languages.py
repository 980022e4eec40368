"""The structured report in every language: valid, and its texts intact in the file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pydicom
import pytest

from dicom_node.report_text import headline
from dicom_node.structured_report import build_structured_report
from dicom_node.words import words_of
from tests.samples import a_finding, a_source, an_identity, written
from tests.unit.test_languages import LANGUAGES, a_rerun
from tests.validators import dciodvfy, dsrdump, pixelmed_sr

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom import Dataset

    from dicom_node.finding import Finding

pytestmark = pytest.mark.usefixtures("strict_writing")


def a_report(language: str, finding: Finding) -> Dataset:
    """Return the report of a finding in a language."""
    words = words_of(language)
    return build_structured_report(a_source(), finding, an_identity(), words=words)


def texts(report: Dataset, code: str) -> list[str]:
    """Return the TEXT items whose concept has this code, wherever they are."""
    found = []
    for item in report.get("ContentSequence", []):
        if item.ConceptNameCodeSequence[0].CodeValue == code and item.ValueType == "TEXT":
            found.append(str(item.TextValue))
        found += texts(item, code)
    return found


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_report_in_any_language_is_valid_and_its_texts_are_intact(
    language: str, tmp_path: Path
) -> None:
    words, finding = words_of(language), a_rerun()

    path = written(a_report(language, finding), tmp_path / "sr.dcm")

    report = pydicom.dcmread(path)
    comments = texts(report, "121106")
    assert comments[0] == headline(finding, words)
    assert comments[-1] == words("research_use")
    # Headline and marking; the notices, who accepted it among them; determination and sex seen;
    # what earlier results say.
    assert len(comments) == 2 + 7 + 2 + 3
    read_by_dcmtk = dsrdump(path)
    for comment in comments:
        assert comment.encode("utf-8") in path.read_bytes()
        assert comment in read_by_dcmtk
    assert dciodvfy(path) == []
    assert pixelmed_sr(path) == []


@pytest.mark.parametrize(
    ("language", "code", "meaning"),
    [
        ("en", "en-US", "English (United States)"),
        ("de", "de", "German"),
        ("fr", "fr", "French"),
        ("es", "es-ES", "Spanish (Spain)"),
        ("ko", "ko", "Korean"),
    ],
)
def test_a_report_names_its_language(language: str, code: str, meaning: str) -> None:
    item = a_report(language, a_finding()).ContentSequence[0]

    assert item.ConceptNameCodeSequence[0].CodeValue == "121049"
    (named,) = item.ConceptCodeSequence
    assert (named.CodeValue, named.CodingSchemeDesignator) == (code, "RFC5646")
    assert named.CodeMeaning == meaning


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_tracked_has_one_name_in_every_language(language: str) -> None:
    assert texts(a_report(language, a_finding()), "112039") == ["Bone age, left hand"]
