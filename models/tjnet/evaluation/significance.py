"""Clinically significant errors: those that change delayed, normal or advanced.

Normal is up to 2 SD from the mean of the Brush children of the same sex and age (`models.brush`).
Where the labels tell the chronological age, reading and estimate are both classified at that age.
Where they do not, as with the RSNA's, each child is taken to be exactly average: its age is the one
at which the Brush mean equals the reading, and the error alone would move it beyond 2 SD.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from models.brush import average_age, brush_reference, classify

if TYPE_CHECKING:
    from collections.abc import Iterable

    from models.tjnet.dataset import Label
    from models.tjnet.evaluation.scores import Score


class Definition(Enum):
    """Which age an error is judged at; the value says it in words."""

    CHRONOLOGICAL = (
        "reading and estimate differ in delayed / normal / advanced (beyond 2 SD of the Brush mean "
        "of the recorded sex) at the chronological age of the labels"
    )
    AVERAGE_CHILD = (
        "the labels tell no chronological age: each child is taken to be exactly average for its "
        "age (the age at which the Brush mean of its sex equals the reading), and the error alone "
        "would move it beyond 2 SD"
    )


def choose_definition(labels: Iterable[Label]) -> Definition:
    """Return the definition that some labels allow, one for all of them."""
    if any(label.chronological_age_months is not None for label in labels):
        return Definition.CHRONOLOGICAL
    return Definition.AVERAGE_CHILD


def is_significant(score: Score, definition: Definition) -> bool | None:
    """Return whether an error is clinically significant.

    Returns
    -------
    bool or None
        None, not judged: the sex or the age is unknown, or the age is outside the Brush table.
    """
    label = score.label
    age = (
        label.chronological_age_months
        if definition is Definition.CHRONOLOGICAL
        else average_age(label.sex, label.bone_age_months)
    )
    reference = None if age is None else brush_reference(label.sex, age)
    if reference is None:
        return None
    mean, sd = reference
    reading, estimate = (
        classify((months - mean) / sd) for months in (label.bone_age_months, score.bone_age_months)
    )
    return reading != estimate
