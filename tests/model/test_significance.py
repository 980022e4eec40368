"""Which errors change delayed, normal or advanced."""

from __future__ import annotations

import pytest

from models.tjnet.dataset import Label
from models.tjnet.evaluation.measures import summarise
from models.tjnet.evaluation.scores import Score
from models.tjnet.evaluation.significance import Definition, choose_definition, is_significant


def score(reading: float, estimate: float, sex: str = "M", age: float | None = None) -> Score:
    """Return a score of a child of this chronological age."""
    return Score(Label("1", sex, reading, "", age), estimate, (estimate, estimate), "M")


@pytest.mark.parametrize(
    ("reading", "estimate", "expected"),
    [
        # A boy of 120 months: mean 125.68, SD 9.79, so normal from 106.10 to 145.26.
        (125, 145.2, False),
        (125, 145.3, True),
        (146, 145.2, True),
        (146, 170, False),
        (106, 106.2, True),
        (106, 150, True),
        (106, 90, False),
    ],
)
def test_at_a_known_age_both_are_classified(
    reading: float, estimate: float, *, expected: bool
) -> None:
    one = score(reading, estimate, age=120)
    assert is_significant(one, Definition.CHRONOLOGICAL) is expected


@pytest.mark.parametrize(
    ("sex", "reading", "estimate", "expected"),
    [
        # The mean of a row: the SD is the row's, 9.79 for boys of 120 months.
        ("M", 125.68, 125.68 + 19.57, False),
        ("M", 125.68, 125.68 + 19.59, True),
        ("M", 125.68, 125.68 - 19.59, True),
        # Between two rows: halfway from 125.66 to 137.86, the SD is that of 126 months, 11.835.
        ("F", 131.76, 131.76 + 23.66, False),
        ("F", 131.76, 131.76 + 23.68, True),
    ],
)
def test_without_an_age_the_error_alone_moves_an_average_child(
    sex: str, reading: float, estimate: float, *, expected: bool
) -> None:
    assert is_significant(score(reading, estimate, sex), Definition.AVERAGE_CHILD) is expected


@pytest.mark.parametrize(
    ("one", "definition"),
    [
        (score(210, 100), Definition.AVERAGE_CHILD),
        (score(2, 100), Definition.AVERAGE_CHILD),
        (score(120, 10, sex="unknown"), Definition.AVERAGE_CHILD),
        (score(120, 10), Definition.CHRONOLOGICAL),
        (score(120, 10, age=205), Definition.CHRONOLOGICAL),
        (score(120, 10, sex="unknown", age=120), Definition.CHRONOLOGICAL),
    ],
)
def test_outside_the_table_nothing_is_judged(one: Score, definition: Definition) -> None:
    assert is_significant(one, definition) is None


def test_one_known_age_chooses_the_definition_for_all() -> None:
    ages = [score(120, 120), score(120, 120, age=110)]
    assert choose_definition(one.label for one in ages) is Definition.CHRONOLOGICAL
    assert choose_definition(one.label for one in ages[:1]) is Definition.AVERAGE_CHILD


def test_the_summary_counts_the_judged_and_names_the_definition() -> None:
    summary = summarise([score(125, 160), score(125, 126), score(125, 130), score(220, 100)])
    assert summary["significant_errors"] == pytest.approx(1 / 3, abs=1e-4)
    assert (summary["n_judged"], summary["n_not_judged"]) == (3, 1)
    assert "exactly average" in summary["significant_error"]
    low, high = summary["confidence_95"]["significant_errors"]
    assert low <= 1 / 3 <= high


def test_nobody_judged_is_no_share() -> None:
    summary = summarise([score(220, 100), score(220, 210)])
    assert summary["significant_errors"] is None
    assert summary["confidence_95"]["significant_errors"] is None
    assert summary["n_not_judged"] == 2
