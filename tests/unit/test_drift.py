"""When results are said to have moved: against values known from elsewhere."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from dicom_node import drift
from dicom_node.tally import WEEK_HOURS, hour_of, start_of, week_of


def weeks(recent: list[int], before: list[int]) -> dict[int, Counter[int]]:
    """Return 30 weeks with these values in the last 4 and in those before."""
    by_week: dict[int, Counter[int]] = {
        96 + n * WEEK_HOURS: Counter() for n in range(drift.REFERENCE_WEEKS + drift.RECENT_WEEKS)
    }
    hours = list(by_week)
    for number, value in enumerate(before):
        by_week[hours[number % drift.REFERENCE_WEEKS]][value] += 1
    for number, value in enumerate(recent):
        by_week[hours[drift.REFERENCE_WEEKS + number % drift.RECENT_WEEKS]][value] += 1
    return by_week


def drawn(number: int, mean_months: float, seed: int) -> list[int]:
    chance = random.Random(seed)
    return [round(chance.gauss(mean_months, 13)) for _ in range(number)]


def test_the_rank_test() -> None:
    """Worked out by hand: U = 0, sd² = 30; then U = 5.5, sd² = 2.5 (12 - 126 / 110)."""
    some, others = Counter([1, 2, 3, 4, 5]), Counter([6, 7, 8, 9, 10, 11])
    assert drift.rank_test(some, others) == pytest.approx(0.008113, abs=1e-5)
    tied = drift.rank_test(Counter([1, 1, 2, 2, 3]), Counter([2, 2, 3, 3, 3, 4]))
    assert tied == pytest.approx(0.084043, abs=1e-5)
    assert drift.rank_test(Counter([2, 2]), Counter([2, 2, 2])) == 1.0


def test_a_shift_is_said() -> None:
    found = drift.judge(weeks(drawn(120, 7, 1), drawn(800, 0, 2)))
    assert found.alert
    assert found.shift_months == pytest.approx(7, abs=3)


def test_nothing_is_said_of_few_of_chance_or_of_little() -> None:
    assert not drift.judge(weeks(drawn(29, 30, 1), drawn(800, 0, 2))).alert
    assert not drift.judge(weeks(drawn(120, 30, 1), drawn(99, 0, 2))).alert
    assert not drift.judge(weeks(drawn(120, 0, 1), drawn(800, 0, 2))).alert
    little = drift.judge(weeks(drawn(20_000, 1.5, 1), drawn(50_000, 0, 2)))
    assert little.chance is not None
    assert little.chance < drift.CHANCE
    assert not little.alert, "sure, and too small to matter"
    assert drift.judge(weeks([], [])).shift_months is None


def test_quartiles_of_whole_months() -> None:
    spread = drift.spread_of(Counter({0: 10, 10: 10}))
    assert (spread.lower_months, spread.median_months, spread.upper_months) == (0.0, 0.5, 10.0)


def test_a_week_begins_on_monday() -> None:
    monday = week_of(hour_of(start_of(500_000)))
    assert start_of(monday).weekday() == 0
    assert monday <= 500_000 < monday + WEEK_HOURS
    assert week_of(monday) == monday
