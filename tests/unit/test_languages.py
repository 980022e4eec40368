"""Whole reports in every language, beside files that a person can read: reports/*.txt.

To write them anew after a change of the texts: ``python -m tests.unit.test_languages``. Read them
before they are committed.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import pytest
from rich.cells import cell_len

from dicom_node.config import ResultsSection
from dicom_node.finding import Acceptance, Correction, Finding, Replaced
from dicom_node.growth import EarlierResult, growth_velocity
from dicom_node.report_text import (
    age_words,
    bone_age_words,
    headline,
    report_lines,
    report_text,
    years_and_months,
)
from dicom_node.words import words_of
from tests.samples import UNKNOWN, a_finding

if TYPE_CHECKING:
    from collections.abc import Callable

LANGUAGES: tuple[str, ...] = get_args(ResultsSection.model_fields["language"].annotation)
REPORTS = Path(__file__).parent / "reports"
WIDEST_LABEL = 19


def a_rerun() -> Finding:
    """Return a finding of everything that a report can know: corrected, replaced, earlier ones."""
    finding = a_finding(
        bone_age_months=140.0,
        interval_months=(120.0, 160.0),
        sex_seen="M",
        inverted=True,
        turned_deg=90,
        views=10,
        calibration="ward-0123456789ab",
    )
    day = date(2026, 1, 1)
    earlier = (
        EarlierResult(date(2024, 9, 1), None, 100.0, 9.0, "weights-1"),
        EarlierResult(date(2025, 1, 1), 108.4, 110.0, 9.0, "weights-1"),
    )
    return replace(
        finding,
        acquired_on=day,
        earlier=earlier,
        velocity=growth_velocity(finding.estimate, day, earlier),
        corrections=(
            Correction("PatientSex", "F", "anna"),
            Correction("PatientBirthDate", "20160115", "anna"),
            Correction("ImageLaterality", "L", "anna"),
        ),
        replaces=Replaced(datetime(2025, 12, 31, 10, 5, tzinfo=UTC), "weights-1", None, None),
        accepted=Acceptance("anna", overrule_gate=True),
    )


FINDINGS: dict[str, Callable[[], Finding]] = {
    "ordinary": a_finding,
    "a re-run of an indeterminate one": a_rerun,
    "sex and side not recorded": lambda: a_finding(laterality=None, **UNKNOWN),
    "at the end of the atlas": lambda: a_finding(
        laterality="R", bone_age_months=210.0, interval_months=(190.0, 220.0)
    ),
    "age not recorded": lambda: a_finding(age_months=None, sex_accuracy=None),
    "age outside the table": lambda: a_finding(age_months=240.0),
    "delayed": lambda: a_finding(
        bone_age_months=90.0, interval_months=(85.0, 95.0), sex_seen="M", sex_probability=0.6
    ),
}


def reports(language: str) -> str:
    """Return a report of each finding."""
    words = words_of(language)
    made = (f"--- {name}\n{report_text(find(), words)}" for name, find in FINDINGS.items())
    return "\n".join(made)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_reports_of_a_language_are_as_they_were_read_over(language: str) -> None:
    assert reports(language) == (REPORTS / f"{language}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "0 y 1 m (1 month); 1 y 0 m (12 months); 2 y 1 m"),
        ("de", "0 J. 1 Mon. (1 Monat); 1 J. 0 Mon. (12 Monate); 2 J. 1 Mon."),
        ("fr", "0 an 1 mois (1 mois); 1 an 0 mois (12 mois); 2 ans 1 mois"),
        ("es", "0 años 1 mes (1 mes); 1 año 0 meses (12 meses); 2 años 1 mes"),
        ("ko", "0세 1개월 (1개월); 1세 0개월 (12개월); 2세 1개월"),
    ],
)
def test_a_noun_agrees_with_its_number(language: str, words: str) -> None:
    said = words_of(language)
    ages = age_words(1, said), age_words(12, said), years_and_months(25, said)
    assert "; ".join(ages) == words


@pytest.mark.parametrize(
    ("language", "mark"), [("en", "."), ("de", ","), ("fr", ","), ("es", ","), ("ko", ".")]
)
def test_every_fraction_has_the_decimal_mark_of_the_language(language: str, mark: str) -> None:
    words = words_of(language)
    texts = {line.label: line.text for line in report_lines(a_rerun(), words)}

    for key, numbers in (
        ("predictive_sd", ["9.4"]),
        ("brush", ["125.2", "11.7"]),
        ("z_score", ["+1.27"]),
        ("velocity", ["2.50", "0.72", "4.29"]),
    ):
        for number in numbers:
            assert number.replace(".", mark) in texts[words(key)], key


@pytest.mark.parametrize(
    ("language", "age"),
    [
        ("en", "at least 17 y 6 m (210 months)"),
        ("de", "mindestens 17 J. 6 Mon. (210 Monate)"),
        ("fr", "au moins 17 ans 6 mois (210 mois)"),
        ("es", "al menos 17 años 6 meses (210 meses)"),
        ("ko", "17세 6개월 (210개월) 이상"),
    ],
)
def test_a_lower_bound_is_said_as_one(language: str, age: str) -> None:
    words = words_of(language)
    assert bone_age_words(210.0, "F", words) == age
    assert age in headline(FINDINGS["at the end of the atlas"](), words)


@pytest.mark.parametrize("name", FINDINGS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_columns_align_as_a_terminal_shows_them(language: str, name: str) -> None:
    words, finding = words_of(language), FINDINGS[name]()
    lines = report_lines(finding, words)
    body = report_text(finding, words).splitlines()[2:-1]

    starts = {
        cell_len(printed[: printed.index(line.text, len(line.label))])
        for line, printed in zip(lines, body, strict=True)
    }
    assert starts == {max(cell_len(line.label) for line in lines) + 2}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_label_fits_its_column_on_the_page(language: str) -> None:
    words = words_of(language)
    labels = {line.label for find in FINDINGS.values() for line in report_lines(find(), words)}
    assert [label for label in labels if cell_len(label) > WIDEST_LABEL] == []


def test_a_korean_column_is_wider_than_its_characters() -> None:
    """Padding by characters would leave the columns of Korean ragged."""
    lines = report_lines(a_finding(), words_of("ko"))
    assert len({cell_len(line.label) - len(line.label) for line in lines}) > 1


if __name__ == "__main__":
    REPORTS.mkdir(exist_ok=True)
    for each in LANGUAGES:
        (REPORTS / f"{each}.txt").write_text(reports(each), encoding="utf-8")
