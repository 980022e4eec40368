"""Whether bone age minus chronological age has lately moved away from what it was.

A camera set differently, a new department that sends other children, or a broken header shows here
before anybody looks at single reports. The rule and why it is this one stand in
docs/adr/0017-when-drift-is-said.md.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from dicom_node import tally
from dicom_node.db import now

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy.orm import Session

RECENT_WEEKS: Final = 4
REFERENCE_WEEKS: Final = 26
FEWEST_RECENT: Final = 30
FEWEST_REFERENCE: Final = 100
SHIFT_MONTHS: Final = 3.0
CHANCE: Final = 0.001


@dataclass(frozen=True, slots=True)
class Spread:
    """Bone age minus chronological age of some children.

    Attributes
    ----------
    count : int
        How many children.
    lower_months, median_months, upper_months : float or None
        The quartiles; None of nobody.
    """

    count: int
    lower_months: float | None
    median_months: float | None
    upper_months: float | None


@dataclass(frozen=True, slots=True)
class Week:
    """One week, which begins on Monday 00:00 UTC."""

    start: datetime
    spread: Spread


@dataclass(frozen=True, slots=True)
class Drift:
    """The last weeks beside those before.

    Attributes
    ----------
    weeks : tuple of Week
        Oldest first, empty ones too; the last `RECENT_WEEKS` are the recent ones.
    recent, reference : Spread
        Of the recent weeks and of those before.
    shift_months : float or None
        How far the median has moved; None where either has nobody.
    chance : float or None
        How likely the two differ so by chance (two-sided rank test); None with too few children.
    """

    weeks: tuple[Week, ...]
    recent: Spread
    reference: Spread
    shift_months: float | None
    chance: float | None

    @property
    def alert(self) -> bool:
        """Return whether somebody should look."""
        return (
            self.chance is not None
            and self.shift_months is not None
            and self.chance < CHANCE
            and abs(self.shift_months) >= SHIFT_MONTHS
        )


def look(session: Session) -> Drift:
    """Return the drift as of now."""
    last = tally.week_of(tally.hour_of(now()))
    first = last - (REFERENCE_WEEKS + RECENT_WEEKS - 1) * tally.WEEK_HOURS
    by_week: dict[int, Counter[int]] = {
        week: Counter() for week in range(first, last + 1, tally.WEEK_HOURS)
    }
    for entry in tally.weeks(session, tally.start_of(first)):
        if entry.hour in by_week:
            by_week[entry.hour][int(entry.label)] += entry.number
    return judge(by_week)


def judge(by_week: Mapping[int, Counter[int]]) -> Drift:
    """Compare the last weeks of some, oldest first, with those before."""
    counts = list(by_week.values())
    recent = _sum(counts[-RECENT_WEEKS:])
    reference = _sum(counts[:-RECENT_WEEKS])
    enough = recent.total() >= FEWEST_RECENT and reference.total() >= FEWEST_REFERENCE
    now_, before = spread_of(recent), spread_of(reference)
    shift = None
    if now_.median_months is not None and before.median_months is not None:
        shift = now_.median_months - before.median_months
    return Drift(
        weeks=tuple(Week(tally.start_of(hour), spread_of(c)) for hour, c in by_week.items()),
        recent=now_,
        reference=before,
        shift_months=shift,
        chance=rank_test(recent, reference) if enough else None,
    )


def _sum(counts: Iterable[Counter[int]]) -> Counter[int]:
    total: Counter[int] = Counter()
    for count in counts:
        total.update(count)
    return total


def spread_of(counts: Counter[int]) -> Spread:
    """Return the quartiles of children counted by whole months."""
    quartiles = [quantile(counts, share) for share in (0.25, 0.5, 0.75)]
    return Spread(counts.total(), *quartiles)


def quantile(counts: Counter[int], share: float) -> float | None:
    """Return a quantile, taking the children of one month as evenly spread over it."""
    total, below = counts.total(), 0
    if not total:
        return None
    wanted = share * total
    for months in sorted(counts):
        if below + counts[months] >= wanted:
            return months - 0.5 + (wanted - below) / counts[months]
        below += counts[months]
    return max(counts) + 0.5  # a share of 1, and rounding


def rank_test(some: Counter[int], others: Counter[int]) -> float:
    """Return how likely two groups differ so by chance, two-sided.

    The rank-sum test of Mann and Whitney (1947), by the normal distribution, corrected for ties
    and for continuity; both groups must have somebody.
    """
    first, second = some.total(), others.total()
    total, below, ranks, ties = first + second, 0, 0.0, 0.0
    for months in sorted(some.keys() | others.keys()):
        tied = some[months] + others[months]
        ranks += some[months] * (below + (tied + 1) / 2)
        ties += tied**3 - tied
        below += tied
    statistic = ranks - first * (first + 1) / 2
    variance = first * second / 12 * (total + 1 - ties / (total * (total - 1)))
    if variance <= 0:  # all alike
        return 1.0
    distance = max(0.0, abs(statistic - first * second / 2) - 0.5)
    return math.erfc(distance / math.sqrt(2 * variance))


def week_words(moment: datetime) -> str:
    """Return a week by its ISO number, such as 2026-W07."""
    year, week, _ = (moment + timedelta(hours=1)).isocalendar()
    return f"{year}-W{week:02d}"
