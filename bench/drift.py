"""How often drift is said for nothing, and how soon for something: ``python -m bench.drift``.

Sites of several sizes, looked at every week for two years, with the difference as heavy-tailed as
Student's t with 4 degrees of freedom, scaled to an SD of 15 months.
"""

from __future__ import annotations

import math
import random
from collections import Counter

from dicom_node.drift import RECENT_WEEKS, REFERENCE_WEEKS, judge

SITES = 60
WEEKS = 104
WINDOW = RECENT_WEEKS + REFERENCE_WEEKS


def main() -> None:
    """Print a row for each size of site."""
    chance = random.Random(7)  # noqa: S311 - a simulation
    print("children/week  false alerts/year  weeks to say a shift of 4, 6, 10 months (share said)")
    for size in (3, 10, 40, 200):
        false = sum(_alerts(chance, size, 0.0, WEEKS)[0] for _ in range(SITES)) / SITES / 2
        said = []
        for shift in (4.0, 6.0, 10.0):
            delays = [_alerts(chance, size, shift, 12)[1] for _ in range(SITES)]
            found = sorted(delay for delay in delays if delay is not None)
            middle = f"{found[len(found) // 2]}" if found else "-"
            said.append(f"{middle} ({len(found) / SITES:.0%})")
        print(f"{size:>13}  {false:>17.2f}  {', '.join(said)}")


def _alerts(
    chance: random.Random, size: int, shift_months: float, weeks: int
) -> tuple[int, int | None]:
    """Return how many alerts begin, and after how many weeks of a shift the first does."""
    counts = [_week(chance, size, 0.0) for _ in range(WINDOW)]
    begun, before, first = 0, False, None
    for number in range(1, weeks + 1):
        counts.append(_week(chance, size, shift_months))
        alert = judge(dict(enumerate(counts[-WINDOW:]))).alert
        begun += alert and not before
        first = number if alert and first is None else first
        before = alert
    return begun, first


def _week(chance: random.Random, size: int, shift_months: float) -> Counter[int]:
    number = max(0, round(chance.gauss(size, math.sqrt(size))))
    return Counter(round(shift_months - 1 + _heavy(chance)) for _ in range(number))


def _heavy(chance: random.Random) -> float:
    """Return a value of Student's t with 4 degrees of freedom, its SD 15."""
    return 15 / math.sqrt(2) * chance.gauss(0, 1) / math.sqrt(chance.gammavariate(2, 2) / 4)


if __name__ == "__main__":
    main()
