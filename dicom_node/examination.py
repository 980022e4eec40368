"""One answer per examination: of the radiographs of a study, the best one of each side.

The rule, first difference decides:

1. for presentation before for processing (the same exposure is often sent as both);
2. postero-anterior before antero-posterior, before a view that is not said, before any other;
3. taken later before taken earlier: a repeat is made because the first was not good; one without
   a date comes last;
4. received later before received earlier.

The header alone decides; no pixel is read here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydicom.uid import DigitalXRayImageStorageForProcessing

from dicom_node.header import meanings, text
from dicom_node.source_header import acquisition_moment, laterality

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydicom import Dataset

    from dicom_node.finding import Laterality

VIEWS: Final = {"PA": 0, "AP": 1, "": 2}
"""Rank of ViewPosition (PS3.3 C.8.1.1); others come last."""
OTHER_VIEW: Final = 3


@dataclass(frozen=True, slots=True)
class Candidate:
    """One radiograph that could be assessed.

    Attributes
    ----------
    job_id : int
        Its job.
    side : "L", "R" or None
        Of the hand.
    for_processing : bool
        Raw pixels, not meant to be looked at (PresentationIntentType, PS3.3 C.8.11.3).
    view : int
        Rank of its view, see `VIEWS`.
    taken_at : str
        Date and time of the acquisition, in an order that sorts.
    """

    job_id: int
    side: Laterality | None
    for_processing: bool
    view: int
    taken_at: str

    @classmethod
    def of(cls, job_id: int, header: Dataset) -> Candidate:
        """Return what a header says of a radiograph."""
        raw = "FOR PROCESSING" in text(header, "PresentationIntentType").upper()
        return cls(
            job_id=job_id,
            side=laterality(header),
            for_processing=raw or header.SOPClassUID == DigitalXRayImageStorageForProcessing,
            view=_view(header),
            taken_at=acquisition_moment(header),
        )


@dataclass(frozen=True, slots=True)
class Choice:
    """What is to become of the radiographs of one study.

    Attributes
    ----------
    used : tuple of int
        Jobs to assess, one a side.
    not_used : dict
        Of each other job, the reason.
    """

    used: tuple[int, ...]
    not_used: dict[int, str]


def choose(
    candidates: Iterable[Candidate], answered: dict[Laterality | None, int] | None = None
) -> Choice:
    """Choose the best candidate of each side.

    Parameters
    ----------
    candidates : iterable of Candidate
        Of one study.
    answered : dict, optional
        For each side that has its answer already, the job that gave it or will.
    """
    best: dict[Laterality | None, Candidate] = {}
    reasons: dict[int, str] = {}
    for candidate in sorted(candidates, key=_rank):
        before = (answered or {}).get(candidate.side)
        if before is not None:
            reasons[candidate.job_id] = f"not used, because job {before} answers for this side"
        elif candidate.side in best:
            reasons[candidate.job_id] = _why(best[candidate.side], candidate)
        else:
            best[candidate.side] = candidate
    return Choice(tuple(sorted(item.job_id for item in best.values())), reasons)


def _rank(candidate: Candidate) -> tuple[bool, int, list[int], int]:
    """Return the key that sorts the best candidate first."""
    later_first = [*(-ord(character) for character in candidate.taken_at), 0]
    return candidate.for_processing, candidate.view, later_first, -candidate.job_id


def _why(best: Candidate, other: Candidate) -> str:
    """Return why one was not used, by the first difference from the one that was."""
    if best.for_processing != other.for_processing:
        why = "is for presentation, this one for processing"
    elif best.view != other.view:
        why = "is nearer to a postero-anterior view"
    elif best.taken_at != other.taken_at:
        why = "was taken later"
    else:
        why = "was received later"
    return f"not used, because job {best.job_id} of the same examination {why}"


def _view(header: Dataset) -> int:
    """Return the rank of the view: from its code's meaning where ViewPosition is silent."""
    view = text(header, "ViewPosition").upper()
    said = " ".join(meanings(header, "ViewCodeSequence")).lower()
    if not view and said:
        words = said.replace("-", "").replace(" ", "")
        view = next(
            (v for v, w in (("PA", "posteroanterior"), ("AP", "anteroposterior")) if w in words),
            "?",
        )
    return VIEWS.get(view, OTHER_VIEW)
