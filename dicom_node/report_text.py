"""The report as a radiologist reads it: plain lines, the same on a terminal and on the page.

Every text is in `dicom_node.words`, so that it can be had in several languages.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len, set_cell_size

from dicom_node import __version__
from dicom_node.words import ENGLISH
from models.atlas import CEILING_MONTHS, is_at_ceiling, reaches_ceiling
from models.brush import BRUSH

if TYPE_CHECKING:
    from dicom_node.finding import Correction, Finding, Replaced
    from dicom_node.growth import Determination, EarlierResult
    from dicom_node.words import Words
    from models.estimate import Estimate

SIDES: Final = {"L": "side_left", "R": "side_right", None: "side_unknown"}
SEXES: Final = {"M": "male", "F": "female", "unknown": "sex_unknown"}

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


def years_and_months(age_months: float, words: Words = ENGLISH) -> str:
    """Return an age as "10 y 4 m", to the nearest month."""
    years, months = divmod(round(age_months), 12)
    return words("years_and_months", years=years, months=months)


def age_words(age_months: float, words: Words = ENGLISH) -> str:
    """Return an age as "10 y 4 m (124 months)", to the nearest month."""
    years, months = divmod(round(age_months), 12)
    return words("age", years=years, months=months, total=round(age_months))


def title(finding: Finding, words: Words = ENGLISH) -> str:
    """Return what the report is about: "Bone age, left hand"."""
    return words("title", side=words(SIDES[finding.laterality]))


def at_least(age: str, bone_age_months: float, sex: str, words: Words = ENGLISH) -> str:
    """Return an age in words as a lower bound where the atlas of this sex ends, else as it is."""
    return words("at_least", age=age) if is_at_ceiling(bone_age_months, sex) else age


def bone_age_words(bone_age_months: float, sex: str, words: Words = ENGLISH) -> str:
    """Return a bone age; as a lower bound where the atlas of this sex ends."""
    return at_least(age_words(bone_age_months, words), bone_age_months, sex, words)


def interval_words(estimate: Estimate, words: Words = ENGLISH) -> str:
    """Return the 90 % interval; open where it reaches the atlas's last plate."""
    lower, upper = (round(bound) for bound in estimate.interval_months)
    if reaches_ceiling(estimate.interval_months[1], estimate.sex):
        return words("interval_open", lower=lower)
    return words("interval", lower=lower, upper=upper)


def headline(finding: Finding, words: Words = ENGLISH) -> str:
    """Return the answer: "Bone age 10 y 4 m (124 months), 90 % interval 108 to 139 months"."""
    estimate = finding.estimate
    key = "headline_unknown_sex" if estimate.sex == "unknown" else "headline"
    age = bone_age_words(estimate.bone_age_months, estimate.sex, words)
    return words(key, age=age, interval=interval_words(estimate, words))


def determination(finding: Finding) -> Determination | None:
    """Return what growth says; outside the table indeterminate, None for unknown sex or age."""
    if finding.growth is not None:
        return finding.growth.determination
    is_known = finding.estimate.sex in BRUSH and finding.chronological_age_months is not None
    return "indeterminate" if is_known else None


def report_lines(finding: Finding, words: Words = ENGLISH) -> list[ReportLine]:
    """Return everything that stands below the headline, in reading order."""
    estimate = finding.estimate
    return [
        *_notice_lines(finding, words),
        *_bone_age_lines(estimate, words),
        *_growth_lines(finding, words),
        *_earlier_lines(finding, words),
        *_sex_lines(estimate, words),
        ReportLine(words("method"), _method(estimate, words)),
        ReportLine(words("weights"), estimate.weights_version),
        *_calibration_lines(estimate, words),
    ]


def comment_lines(finding: Finding, words: Words = ENGLISH) -> list[ReportLine]:
    """Return the lines that a report says in words beside its codes and numbers.

    What was done before reading, the determination, earlier results, and every flag.
    """
    said = {words(key) for key in ("determination", "earlier", "velocity", "replaces")}
    return [line for line in report_lines(finding, words) if line.is_flag or line.label in said]


def report_text(finding: Finding, words: Words = ENGLISH) -> str:
    """Return the whole report as text, one fact a line, ended by a line feed."""
    lines = report_lines(finding, words)
    # In columns of a terminal, where a Korean syllable takes two.
    width = max(cell_len(line.label) for line in lines) + 2
    body = [
        f"{set_cell_size(line.label, width)}{line.text}{'  (!)' if line.is_flag else ''}"
        for line in lines
    ]
    ends = title(finding, words), headline(finding, words), words("research_use")
    return "\n".join([*ends[:2], *body, ends[2]]) + "\n"


def _method(estimate: Estimate, words: Words) -> str:
    """Return the method, with the views where it averaged more than one."""
    if estimate.views == 1:
        return words("method_text")
    return words("method_views", views=estimate.views)


def _calibration_lines(estimate: Estimate, words: Words) -> list[ReportLine]:
    """Return the correction that bone age and interval went through, where there is one."""
    if estimate.calibration is None:
        return []
    text = words("calibration_text", calibration=estimate.calibration)
    return [ReportLine(words("calibration"), text)]


def _notice_lines(finding: Finding, words: Words = ENGLISH) -> list[ReportLine]:
    """Return what a reader must know before the numbers.

    What was done to the image before it was read, who overruled a rejection, what a person said
    instead of the header, and which result this one replaces: whether rightly, a reader must look.
    """
    replaced = (
        [] if finding.replaces is None else [_replaced_line(finding, finding.replaces, words)]
    )
    corrected = words("corrected")
    return [
        *_image_lines(finding.estimate, words),
        *_accepted_lines(finding, words),
        *(
            ReportLine(corrected, _correction(correction, words), is_flag=True)
            for correction in finding.corrections
        ),
        *replaced,
    ]


def _accepted_lines(finding: Finding, words: Words) -> list[ReportLine]:
    """Return who overruled a rejection, where somebody did."""
    if finding.accepted is None:
        return []
    key = "accepted_image" if finding.accepted.overrule_gate else "accepted_header"
    text = words(key, actor=finding.accepted.actor)
    return [ReportLine(words("accepted"), text, is_flag=True)]


def _image_lines(estimate: Estimate, words: Words) -> list[ReportLine]:
    """Return what was done to the image before it was read."""
    lines = []
    if estimate.inverted:
        lines.append(ReportLine(words("image"), words("image_inverted"), is_flag=True))
    if estimate.turned_deg:
        text = words("image_turned", degrees=estimate.turned_deg)
        lines.append(ReportLine(words("image"), text, is_flag=True))
    return lines


def _correction(correction: Correction, words: Words) -> str:
    """Return one correction and who made it; a birth date's value is not repeated."""
    if correction.keyword == "PatientSex":
        what = words("corrected_sex", value=words(SEXES.get(correction.value, "sex_unknown")))
    elif correction.keyword == "ImageLaterality":
        side = {"L": "side_left", "R": "side_right"}.get(correction.value, "side_unknown")
        what = words("corrected_side", value=words(side))
    else:
        what = words("corrected_birth_date")
    return words("corrected_text", what=what, actor=correction.actor)


def _replaced_line(finding: Finding, old: Replaced, words: Words) -> ReportLine:
    """Return which result this one replaces, and what is not as it was."""
    keys = [
        (key, was)
        for key, was, present in (
            ("changed_weights", old.weights_version, finding.estimate.weights_version),
            ("changed_software", old.software_version, __version__),
            ("changed_calibration", old.calibration, finding.estimate.calibration),
        )
        if was != present and (was or key == "changed_calibration")
    ]
    changes = [words(key, old=was or words("none")) for key, was in keys]
    changes += [
        _correction(correction, words)
        for correction in finding.corrections
        if correction not in old.corrections
    ]
    text = words(
        "replaces_text",
        date=f"{old.reported_at:%Y-%m-%d %H:%M}",
        changes=", ".join(changes) or words("changed_nothing"),
    )
    return ReportLine(words("replaces"), text)


def _bone_age_lines(estimate: Estimate, words: Words) -> list[ReportLine]:
    """Return what qualifies the bone age: the end of the atlas, and both sexes if unknown."""
    sd = words("months", months=words.number(estimate.sd_months, ".1f"))
    lines = [ReportLine(words("predictive_sd"), sd)]
    if is_at_ceiling(estimate.bone_age_months, estimate.sex):
        end = words("end_of_atlas_text", years=round(CEILING_MONTHS[estimate.sex]) // 12)
        lines.append(ReportLine(words("end_of_atlas"), end, is_flag=True))
    lines += [
        ReportLine(words(f"if_{SEXES[sex]}"), bone_age_words(months, sex, words))
        for sex, months in (estimate.by_sex or {}).items()
    ]
    return lines


def _growth_lines(finding: Finding, words: Words) -> list[ReportLine]:
    """Return the chronological age and what the Brush table makes of it."""
    age = finding.chronological_age_months
    label, z_score = words("chronological_age"), words("z_score")
    if age is None:
        return [
            ReportLine(label, words("not_recorded")),
            ReportLine(z_score, words("z_score_no_age")),
        ]
    # An age is counted in completed months.
    lines = [ReportLine(label, age_words(int(age), words))]
    growth = finding.growth
    if growth is None:
        return lines + _no_growth_lines(finding.estimate.sex, words)
    mean, sd = (words.number(months, ".1f") for months in (growth.mean_months, growth.sd_months))
    is_abnormal = growth.determination in {"delayed", "advanced"}
    return [
        *lines,
        ReportLine(words("brush"), words("brush_text", mean=mean, sd=sd)),
        ReportLine(z_score, words("z_score_text", z_score=words.number(growth.z_score, "+.2f"))),
        ReportLine(words("determination"), words(growth.determination), is_flag=is_abnormal),
    ]


def _no_growth_lines(sex: str, words: Words) -> list[ReportLine]:
    """Return why there is no z-score for a child whose age is known."""
    if sex not in BRUSH:
        return [ReportLine(words("z_score"), words("z_score_no_sex"))]
    first, last = round(BRUSH[sex][0][0]), round(BRUSH[sex][-1][0])
    return [
        ReportLine(words("z_score"), words("z_score_outside", first=first, last=last)),
        ReportLine(words("determination"), words("indeterminate_outside")),
    ]


def _earlier_lines(finding: Finding, words: Words = ENGLISH) -> list[ReportLine]:
    """Return the earlier results of the same patient, and the growth since one of them."""
    lines = [
        ReportLine(words("earlier"), _earlier(earlier, words))
        for earlier in finding.earlier[-EARLIER_SHOWN:]
    ]
    velocity = finding.velocity
    if velocity is not None:
        lower, upper = velocity.interval
        text = words(
            "velocity_text",
            velocity=words.number(velocity.years_per_year, ".2f"),
            lower=words.number(lower, ".2f"),
            upper=words.number(upper, ".2f"),
            date=velocity.since.isoformat(),
        )
        is_odd = upper < SLOWEST or lower > FASTEST
        lines.append(ReportLine(words("velocity"), text, is_flag=is_odd))
    return lines


def _earlier(earlier: EarlierResult, words: Words) -> str:
    """Return one earlier result: when, what, and at which age where that is known."""
    date = earlier.acquired_on.isoformat()
    bone_age = years_and_months(earlier.bone_age_months, words)
    if earlier.chronological_age_months is None:
        return words("earlier_text_no_age", date=date, bone_age=bone_age)
    # An age is counted in completed months.
    age = years_and_months(int(earlier.chronological_age_months), words)
    return words("earlier_text", date=date, bone_age=bone_age, age=age)


SLOWEST, FASTEST = 0.0, 3.0
"""Years of bone age a year: an interval wholly beyond one of them may be of two children."""

EARLIER_SHOWN: Final = 4
"""Earlier results in words; the growth chart shows all."""


def _sex_lines(estimate: Estimate, words: Words) -> list[ReportLine]:
    """Return the recorded sex, and the sex seen in the image as a flag of consistency."""
    recorded = ReportLine(words("sex_recorded"), words(SEXES[estimate.sex]))
    label = words("sex_seen")
    if not sees_sex(estimate):
        return [recorded, ReportLine(label, words("sex_seen_unable"))]
    key = "sex_seen_disagrees"
    if estimate.sex == "unknown":
        key = "sex_seen_unused"
    elif estimate.sex == estimate.sex_seen:
        key = "sex_seen_agrees"
    elif estimate.sex_probability < FLAG_PROBABILITY:
        key = "sex_seen_weakly"
    seen = words(SEXES[estimate.sex_seen])
    probability = words("probability", percent=f"{100 * estimate.sex_probability:.0f}")
    text = words(key, sex=seen, probability=probability)
    return [recorded, ReportLine(label, text, is_flag=key == "sex_seen_disagrees")]


def sees_sex(estimate: Estimate) -> bool:
    """Return whether what the weights see of the sex is worth saying."""
    return estimate.sex_accuracy is not None and estimate.sex_accuracy >= SEEN_FROM_ACCURACY
