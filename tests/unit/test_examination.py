"""Which radiograph of an examination is assessed."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from pydicom.uid import (
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
)

from dicom_node.examination import Candidate, choose
from tests.builders import cr_header, items


def candidate(job_id: int, **values: Any) -> Candidate:  # noqa: ANN401
    return Candidate.of(job_id, cr_header(**values))


LATE = {"AcquisitionDate": "20230601", "AcquisitionTime": "101500"}
EARLY = {"AcquisitionDate": "20230601", "AcquisitionTime": "09:59:00"}


@pytest.mark.parametrize(
    ("best", "other", "why"),
    [
        (
            {"SOPClassUID": DigitalXRayImageStorageForPresentation, **EARLY},
            {"SOPClassUID": DigitalXRayImageStorageForProcessing, **LATE},
            "is for presentation, this one for processing",
        ),
        (
            {"PresentationIntentType": "FOR PRESENTATION"},
            {"PresentationIntentType": "FOR PROCESSING"},
            "is for presentation, this one for processing",
        ),
        ({**EARLY}, {"ViewPosition": "AP", **LATE}, "is nearer to a postero-anterior view"),
        ({"ViewPosition": "AP"}, {"ViewPosition": ""}, "is nearer to a postero-anterior view"),
        (
            {"ViewPosition": "", "ViewCodeSequence": items(CodeMeaning="postero-anterior")},
            {"ViewPosition": "", "ViewCodeSequence": items(CodeMeaning="medio-lateral")},
            "is nearer to a postero-anterior view",
        ),
        (LATE, EARLY, "was taken later"),
        (
            {"AcquisitionDateTime": "20230601101500"},
            {"AcquisitionDateTime": "20230601101400"},
            "was taken later",
        ),
        (EARLY, {"AcquisitionDate": "", "AcquisitionTime": ""}, "was taken later"),
        (LATE, {"AcquisitionDate": "20230601"}, "was taken later"),
        ({"StudyDate": ""}, {"StudyDate": ""}, "was received later"),
    ],
)
def test_the_first_difference_decides(
    best: dict[str, Any], other: dict[str, Any], why: str
) -> None:
    first, second = candidate(7, **best), candidate(3, **other)

    for order in permutations((first, second)):
        choice = choose(order)
        assert choice.used == (7,)
        assert choice.not_used == {3: f"not used, because job 7 of the same examination {why}"}


def test_each_side_has_its_answer() -> None:
    left, right, unsaid = (
        candidate(1, ImageLaterality="L"),
        candidate(2, ImageLaterality="R"),
        candidate(3),
    )
    again = candidate(4, ImageLaterality="R", ViewPosition="AP")

    choice = choose([left, right, unsaid, again])

    assert choice.used == (1, 2, 3)
    assert set(choice.not_used) == {4}


def test_a_side_that_has_its_answer_gets_no_other() -> None:
    choice = choose(
        [candidate(5, ImageLaterality="L"), candidate(6, ImageLaterality="R")], {"L": 1}
    )

    assert choice.used == (6,)
    assert choice.not_used == {5: "not used, because job 1 answers for this side"}


def test_no_candidate_is_no_choice() -> None:
    assert choose([]).used == ()
