"""What is written on a page: patient, answer, report, growth chart, legend, marking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dicom_node.fonts import BOLD
from dicom_node.growth_chart import curves, draw_chart, earlier_points
from dicom_node.overlay import draw_ramp
from dicom_node.report_text import (
    SEXES,
    at_least,
    interval_words,
    report_lines,
    title,
    years_and_months,
)
from dicom_node.sheet import FAINT, FLAG, INK, MARGIN, Type

if TYPE_CHECKING:
    from PIL import Image

    from dicom_node.finding import Finding
    from dicom_node.patient_label import PatientLabel
    from dicom_node.sheet import Sheet
    from dicom_node.words import Words

LABELS: Final = 136.0
"""Width of the column of labels, in units."""

HEADING: Final = Type(19, FAINT)
ANSWER: Final = Type(38, INK, BOLD)
REFUSAL: Final = Type(23, INK, BOLD)
MONTHS: Final = Type(19, INK)
LABEL, BODY, FLAGGED = Type(14, FAINT), Type(14, INK), Type(14, FLAG, BOLD)
SMALL: Final = Type(13, FAINT)
MARKING: Final = Type(16, FLAG, BOLD)
"""Heights of type, in units: on a page shown 1024 pixels long, in pixels."""

LONGEST_TEXT: Final = 300
"""Characters of a name or an identifier; a longer one ends in an ellipsis."""

NOW, BEFORE, CURVE, DASHED = "\u25cf", "\u25cb", "\u2501", "\u2505"
"""In the legend: a filled and an empty point, a line and a dashed one."""


def write_patient(sheet: Sheet, patient: PatientLabel, words: Words) -> None:
    """Write who it is and when it was taken; what the header does not say is left out."""
    for key, text in (
        ("patient", patient.name),
        ("patient_id", patient.patient_id),
        ("study_date", patient.study_date),
    ):
        if text:
            _row(sheet, words(key), _shortened(text), BODY)
    sheet.rule()


def write_answer(sheet: Sheet, finding: Finding, words: Words) -> None:
    """Write the bone age and its interval."""
    estimate = finding.estimate
    age_months, sex = estimate.bone_age_months, estimate.sex
    sheet.line(title(finding, words), HEADING)
    age, months = (
        at_least(text, age_months, sex, words)
        for text in (years_and_months(age_months, words), words("months", months=round(age_months)))
    )
    sheet.flow([(age, ANSWER), (months, MONTHS)], gap=14)
    sheet.line(words("interval_label", interval=interval_words(estimate, words)), MONTHS)


def write_report(sheet: Sheet, finding: Finding, words: Words) -> None:
    """Write everything that stands below the answer; a label is not repeated."""
    label = ""
    for line in report_lines(finding, words):
        shown = "" if line.label == label else line.label
        _row(sheet, shown, line.text, FLAGGED if line.is_flag else BODY)
        label = line.label


def write_refusal(sheet: Sheet, reason: str, words: Words) -> None:
    """Write that there is no bone age, and why."""
    sheet.line(words("refused", reason=reason), REFUSAL)


def write_chart(sheet: Sheet, finding: Finding, words: Words, height: float) -> None:
    """Draw the growth chart, its axes named and its signs explained."""

    def paint(size_px: tuple[int, int], unit_px: float) -> Image.Image:
        return draw_chart(finding, size_px, unit_px)

    sheet.line(words("chart_bone_age"), SMALL)
    sheet.picture(height, paint)
    sheet.flush_right(words("chart_age"), SMALL)
    sheet.y += 3
    is_known = finding.chronological_age_months is not None
    if is_known:
        sheet.item((NOW, Type(SMALL.size, INK)), (words("chart_now"), SMALL))
    else:
        sheet.line(words("chart_no_age"), Type(SMALL.size, INK))
    if earlier_points(finding):
        sheet.item((BEFORE, Type(SMALL.size, INK)), (words("chart_earlier"), SMALL))
    drawn = curves(finding)
    for sex, colour in drawn.items():
        sign = DASHED if len(drawn) > 1 and sex == "F" else CURVE
        text = words("chart_brush", sex=words(SEXES[sex]))
        sheet.item((sign, Type(SMALL.size, colour)), (text, SMALL))


def write_legend(sheet: Sheet, words: Words) -> None:
    """Draw the colours of the heatmap and say what they mean."""

    def paint(size_px: tuple[int, int], _: float) -> Image.Image:
        return draw_ramp(size_px)

    sheet.line(words("heatmap"), LABEL)
    sheet.y += 2
    sheet.picture(11, paint)
    sheet.y += 2
    sheet.ends(words("little"), words("much"), SMALL)


def write_marking(sheet: Sheet, words: Words) -> None:
    """Write what the page must not be used for."""
    sheet.line(words("research_use"), MARKING)


def _row(sheet: Sheet, label: str, text: str, style: Type) -> None:
    sheet.row((label, LABEL), (text, style), left=MARGIN + LABELS)


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}\u2026"
