"""What one job found: the estimate beside what the header says of the child."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from datetime import datetime

    from dicom_node.growth import Growth
    from models.estimate import Estimate

Laterality = Literal["L", "R"]


@dataclass(frozen=True, slots=True)
class Finding:
    """The content of a report, before it takes the form of a DICOM object.

    Attributes
    ----------
    estimate : Estimate
        What the network says; its ``sex`` is the recorded sex as the network was given it.
    chronological_age_months : float or None
        Age at acquisition, from PatientBirthDate or PatientAge; None where neither is there.
    laterality : "L", "R" or None
        From ImageLaterality, Laterality or FrameLaterality; None where the header is silent.
    growth : Growth or None
        Brush mean, SD, z-score and determination; None for unknown sex or age, or outside
        the table.
    started_at : datetime
        When the analysis began, with its time zone: ContentDate and ContentTime (IHE AIR).
    """

    estimate: Estimate
    chronological_age_months: float | None
    laterality: Laterality | None
    growth: Growth | None
    started_at: datetime
