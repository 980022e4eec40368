"""The report as a radiologist reads it: plain lines, the same on a terminal and on the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dicom_node.growth import BRUSH, CEILING_MONTHS, is_at_ceiling, reaches_ceiling
from dicom_node.vocabulary import RESEARCH_USE

if TYPE_CHECKING:
    from dicom_node.finding import Finding
    from models.estimate import Estimate

SIDES: Final = {"L": "left hand", "R": "right hand", None: "hand, side not recorded"}
SEXES: Final = {"M": "male", "F": "female", "unknown": "not recorded"}

FLAG_PROBABILITY: Final = 0.9
"""A sex seen with less is not flagged: calibrated, one flag in ten at most is then wrong."""


@dataclass(frozen=True, slots=True)
class ReportLine:
    """One line of the report.

    Attributes
    ----------
    label, text : str
        What is said of what.
    is_flag : bool
        True for what a reader must not miss.
    """

    label: str
    text: str
    is_flag: bool = False


def years_and_months(age_months: float) -> str:
    """Return an age as "10 y 4 m (124 months)", to the nearest month."""
    whole = round(age_months)
    return f"{whole // 12} y {whole % 12} m ({whole} months)"


def title(finding: Finding) -> str:
    """Return what the report is about: "Bone age, left hand"."""
    return f"Bone age, {SIDES[finding.laterality]}"


def bone_age_words(estimate: Estimate) -> str:
    """Return the bone age; where the atlas ends, as a lower bound."""
    words = years_and_months(estimate.bone_age_months)
    return f"at least {words}" if is_at_ceiling(estimate.bone_age_months, estimate.sex) else words


def interval_words(estimate: Estimate) -> str:
    """Return the 90 % interval; open where it reaches the atlas's last plate."""
    lower, upper = (round(bound) for bound in estimate.interval_months)
    if reaches_ceiling(estimate.interval_months[1], estimate.sex):
        return f"{lower} months or more"
    return f"{lower} to {upper} months"


def headline(finding: Finding) -> str:
    """Return the answer: "Bone age 10 y 4 m (124 months), 90 % interval 108 to 139 months"."""
    estimate = finding.estimate
    return f"Bone age {bone_age_words(estimate)}, 90 % interval {interval_words(estimate)}"


def report_lines(finding: Finding) -> list[ReportLine]:
    """Return everything that stands below the headline, in reading order."""
    return [
        *_bone_age_lines(finding.estimate),
        *_growth_lines(finding),
        *_sex_lines(finding.estimate),
        ReportLine("Method", "Greulich-Pyle, TJ-Net"),
        ReportLine("Weights", finding.estimate.weights_version),
    ]


def report_text(finding: Finding) -> str:
    """Return the whole report as text, one fact a line, ended by a line feed."""
    lines = report_lines(finding)
    width = max(len(line.label) for line in lines) + 2
    body = [f"{line.label:<{width}}{line.text}{'  (!)' if line.is_flag else ''}" for line in lines]
    return "\n".join([title(finding), headline(finding), *body, RESEARCH_USE]) + "\n"


def _bone_age_lines(estimate: Estimate) -> list[ReportLine]:
    """Return what qualifies the bone age: the end of the atlas, and both sexes if unknown."""
    lines = [ReportLine("Predictive SD", f"{estimate.sd_months:.1f} months")]
    if is_at_ceiling(estimate.bone_age_months, estimate.sex):
        end = round(CEILING_MONTHS[estimate.sex]) // 12
        lines.append(ReportLine("End of atlas", f"{end} years: a lower bound", is_flag=True))
    by_sex = estimate.by_sex or {}
    lines += [
        ReportLine(f"If {SEXES[sex]}", _at_least(months, sex)) for sex, months in by_sex.items()
    ]
    return lines


def _at_least(bone_age_months: float, sex: str) -> str:
    """Return the bone age under one sex."""
    words = years_and_months(bone_age_months)
    return f"at least {words}" if is_at_ceiling(bone_age_months, sex) else words


def _growth_lines(finding: Finding) -> list[ReportLine]:
    """Return the chronological age and what the Brush table makes of it."""
    age = finding.chronological_age_months
    if age is None:
        return [
            ReportLine("Chronological age", "not recorded"),
            ReportLine("Z-score", "none: the age is not recorded"),
        ]
    # An age is counted in completed months.
    lines = [ReportLine("Chronological age", years_and_months(int(age)))]
    growth = finding.growth
    if growth is None:
        return lines + _no_growth_lines(finding.estimate.sex)
    population = f"mean {growth.mean_months:.1f}, SD {growth.sd_months:.1f} months"
    determination: str = growth.determination
    if determination == "indeterminate":
        determination = "indeterminate: the interval of z crosses 2 SD"
    return [
        *lines,
        ReportLine("Brush reference", population),
        ReportLine("Z-score", f"{growth.z_score:+.2f} against the Brush mean"),
        ReportLine(
            "Determination", determination, is_flag=determination in {"delayed", "advanced"}
        ),
    ]


def _no_growth_lines(sex: str) -> list[ReportLine]:
    """Return why there is no z-score for a child whose age is known."""
    if sex not in BRUSH:
        return [ReportLine("Z-score", "none: the sex is not recorded")]
    first, last = round(BRUSH[sex][0][0]), round(BRUSH[sex][-1][0])
    return [
        ReportLine("Z-score", f"none: the Brush table spans {first} to {last} months"),
        ReportLine("Determination", "indeterminate: age outside the table"),
    ]


def _sex_lines(estimate: Estimate) -> list[ReportLine]:
    """Return the recorded sex, and the sex seen in the image as a flag of consistency."""
    seen = f"{SEXES[estimate.sex_seen]} ({estimate.sex_probability:.0%})"
    is_flag = False
    if estimate.sex == "unknown":
        seen += ", not used"
    elif estimate.sex == estimate.sex_seen:
        seen += ", agrees"
    elif estimate.sex_probability < FLAG_PROBABILITY:
        seen += ", disagrees, but weakly"
    else:
        seen += ", DISAGREES: check patient and image"
        is_flag = True
    return [
        ReportLine("Sex recorded", SEXES[estimate.sex]),
        ReportLine("Sex seen in image", seen, is_flag=is_flag),
    ]
