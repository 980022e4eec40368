"""The report as a radiologist reads it: plain lines, the same on a terminal and on the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dicom_node.vocabulary import RESEARCH_USE
from models.atlas import CEILING_MONTHS, is_at_ceiling, reaches_ceiling
from models.brush import BRUSH

if TYPE_CHECKING:
    from dicom_node.finding import Finding
    from dicom_node.growth import Determination
    from models.estimate import Estimate

SIDES: Final = {"L": "left hand", "R": "right hand", None: "side not recorded"}
SEXES: Final = {"M": "male", "F": "female", "unknown": "not recorded"}

SEEN_FROM_ACCURACY: Final = 0.75
"""Weights that saw the recorded sex less often on their validation split say nothing of it."""

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
    """Return an age as "10 y 4 m", to the nearest month."""
    years, months = divmod(round(age_months), 12)
    return f"{years} y {months} m"


def age_words(age_months: float) -> str:
    """Return an age as "10 y 4 m (124 months)", to the nearest month."""
    return f"{years_and_months(age_months)} ({round(age_months)} months)"


def title(finding: Finding) -> str:
    """Return what the report is about: "Bone age, left hand"."""
    return f"Bone age, {SIDES[finding.laterality]}"


def lower_bound_words(bone_age_months: float, sex: str) -> str:
    """Return "at least " where the atlas of this sex ends, else nothing."""
    return "at least " if is_at_ceiling(bone_age_months, sex) else ""


def bone_age_words(bone_age_months: float, sex: str) -> str:
    """Return a bone age; as a lower bound where the atlas of this sex ends."""
    return lower_bound_words(bone_age_months, sex) + age_words(bone_age_months)


def interval_words(estimate: Estimate) -> str:
    """Return the 90 % interval; open where it reaches the atlas's last plate."""
    lower, upper = (round(bound) for bound in estimate.interval_months)
    if reaches_ceiling(estimate.interval_months[1], estimate.sex):
        return f"{lower} months or more"
    return f"{lower} to {upper} months"


def headline(finding: Finding) -> str:
    """Return the answer: "Bone age 10 y 4 m (124 months), 90 % interval 108 to 139 months"."""
    estimate = finding.estimate
    words = bone_age_words(estimate.bone_age_months, estimate.sex)
    sex = ", sex not recorded" if estimate.sex == "unknown" else ""
    return f"Bone age {words}, 90 % interval {interval_words(estimate)}{sex}"


def determination(finding: Finding) -> Determination | None:
    """Return what growth says; outside the table indeterminate, None for unknown sex or age."""
    if finding.growth is not None:
        return finding.growth.determination
    is_known = finding.estimate.sex in BRUSH and finding.chronological_age_months is not None
    return "indeterminate" if is_known else None


def report_lines(finding: Finding) -> list[ReportLine]:
    """Return everything that stands below the headline, in reading order."""
    return [
        *image_lines(finding.estimate),
        *_bone_age_lines(finding.estimate),
        *_growth_lines(finding),
        *_sex_lines(finding.estimate),
        ReportLine("Method", _method(finding.estimate)),
        ReportLine("Weights", finding.estimate.weights_version),
        *_calibration_lines(finding.estimate),
    ]


def report_text(finding: Finding) -> str:
    """Return the whole report as text, one fact a line, ended by a line feed."""
    lines = report_lines(finding)
    width = max(len(line.label) for line in lines) + 2
    body = [f"{line.label:<{width}}{line.text}{'  (!)' if line.is_flag else ''}" for line in lines]
    return "\n".join([title(finding), headline(finding), *body, RESEARCH_USE]) + "\n"


def _method(estimate: Estimate) -> str:
    """Return the method, with the views where it averaged more than one."""
    method = "Greulich-Pyle, TJ-Net"
    return method if estimate.views == 1 else f"{method}, mean of {estimate.views} views"


def _calibration_lines(estimate: Estimate) -> list[ReportLine]:
    """Return the correction that bone age and interval went through, where there is one."""
    if estimate.calibration is None:
        return []
    return [ReportLine("Calibration", f"{estimate.calibration} (a linear correction)")]


def image_lines(estimate: Estimate) -> list[ReportLine]:
    """Return what was done to the image before it was read: a reader must look whether rightly."""
    lines = []
    if estimate.inverted:
        lines.append(ReportLine("Image", "black and white were turned round", is_flag=True))
    if estimate.turned_deg:
        words = f"turned by {estimate.turned_deg} degrees counter-clockwise"
        lines.append(ReportLine("Image", words, is_flag=True))
    return lines


def _bone_age_lines(estimate: Estimate) -> list[ReportLine]:
    """Return what qualifies the bone age: the end of the atlas, and both sexes if unknown."""
    lines = [ReportLine("Predictive SD", f"{estimate.sd_months:.1f} months")]
    if is_at_ceiling(estimate.bone_age_months, estimate.sex):
        end = round(CEILING_MONTHS[estimate.sex]) // 12
        lines.append(ReportLine("End of atlas", f"{end} years: a lower bound", is_flag=True))
    by_sex = estimate.by_sex or {}
    lines += [
        ReportLine(f"If {SEXES[sex]}", bone_age_words(months, sex))
        for sex, months in by_sex.items()
    ]
    return lines


def _growth_lines(finding: Finding) -> list[ReportLine]:
    """Return the chronological age and what the Brush table makes of it."""
    age = finding.chronological_age_months
    if age is None:
        return [
            ReportLine("Chronological age", "not recorded"),
            ReportLine("Z-score", "none: the age is not recorded"),
        ]
    # An age is counted in completed months.
    lines = [ReportLine("Chronological age", age_words(int(age)))]
    growth = finding.growth
    if growth is None:
        return lines + _no_growth_lines(finding.estimate.sex)
    determination: str = growth.determination
    if determination == "indeterminate":
        determination = "indeterminate: the interval crosses 2 SD"
    return [
        *lines,
        ReportLine("Brush mean, SD", f"{growth.mean_months:.1f}, {growth.sd_months:.1f} months"),
        ReportLine("Z-score", f"{growth.z_score:+.2f} to the Brush mean"),
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
    recorded = ReportLine("Sex recorded", SEXES[estimate.sex])
    if not sees_sex(estimate):
        return [recorded, ReportLine("Sex seen in image", "not said: these weights cannot tell")]
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
    return [recorded, ReportLine("Sex seen in image", seen, is_flag=is_flag)]


def sees_sex(estimate: Estimate) -> bool:
    """Return whether what the weights see of the sex is worth saying."""
    return estimate.sex_accuracy is not None and estimate.sex_accuracy >= SEEN_FROM_ACCURACY
