"""What one job found: the estimate beside what the header and earlier results say of the child."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from datetime import date, datetime

    from dicom_node.growth import EarlierResult, Growth, Velocity
    from models.estimate import Estimate

Laterality = Literal["L", "R"]
CorrectedKeyword = Literal["PatientSex", "PatientBirthDate", "ImageLaterality"]


@dataclass(frozen=True, slots=True)
class Correction:
    """What a person said instead of the header, for one assessment.

    Attributes
    ----------
    keyword : str
        PatientSex, PatientBirthDate or ImageLaterality.
    value : str
        As the header would have it.
    actor : str
        Who said so.
    """

    keyword: CorrectedKeyword
    value: str
    actor: str


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Who had a radiograph assessed that the rules had rejected.

    Attributes
    ----------
    actor : str
        Who accepted it.
    overrule_gate : bool
        Whether also the gate, which looks at the pixels, was overruled.
    """

    actor: str
    overrule_gate: bool


@dataclass(frozen=True, slots=True)
class Replaced:
    """The result that this one replaces.

    Attributes
    ----------
    reported_at : datetime
        When it was made.
    weights_version, software_version, calibration : str or None
        What made it.
    corrections : tuple of Correction
        What had been corrected for it already.
    """

    reported_at: datetime
    weights_version: str | None
    software_version: str | None
    calibration: str | None
    corrections: tuple[Correction, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """What the node knows of a child and an image beside the header; see `Finding`."""

    earlier: tuple[EarlierResult, ...] = ()
    corrections: tuple[Correction, ...] = ()
    replaces: Replaced | None = None
    accepted: Acceptance | None = None

    def corrected(self, keyword: CorrectedKeyword) -> str | None:
        """Return what a person said instead of the header, or None."""
        said = (c.value for c in self.corrections if c.keyword == keyword)
        return next(said, None)


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
    acquired_on : date or None
        The day of the radiograph.
    earlier : tuple of EarlierResult
        Of the same patient, oldest first.
    velocity : Velocity or None
        Of growth since an earlier result, where one is old enough.
    corrections : tuple of Correction
        What a person said instead of the header.
    replaces : Replaced or None
        The result that this one is a re-run of.
    accepted : Acceptance or None
        Who overruled a rejection, so that there is a finding at all.
    """

    estimate: Estimate
    chronological_age_months: float | None
    laterality: Laterality | None
    growth: Growth | None
    started_at: datetime
    acquired_on: date | None = None
    earlier: tuple[EarlierResult, ...] = ()
    velocity: Velocity | None = None
    corrections: tuple[Correction, ...] = ()
    replaces: Replaced | None = None
    accepted: Acceptance | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a radiograph has no bone age.

    Attributes
    ----------
    reason : str
        In words for a person.
    laterality : "L", "R" or None
        As in `Finding`.
    started_at : datetime
        When the analysis began, with its time zone.
    weights_version, calibration : str, str or None
        What would have answered.
    """

    reason: str
    laterality: Laterality | None
    started_at: datetime
    weights_version: str
    calibration: str | None = None
