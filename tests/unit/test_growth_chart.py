"""The growth chart, as pixels."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import pytest

from dicom_node.growth import EarlierResult
from dicom_node.growth_chart import (
    BOTH_COLOURS,
    BOTTOM,
    LEFT,
    RIGHT,
    SEX_COLOURS,
    TOP,
    curves,
    draw_chart,
)
from dicom_node.sheet import INK, PAPER
from tests.samples import UNKNOWN, a_finding

if TYPE_CHECKING:
    import numpy.typing as npt

    from dicom_node.finding import Finding
    from dicom_node.sheet import Colour

WIDTH, HEIGHT, UNIT_PX = 364, 200, 2.0


def chart(finding: Finding) -> npt.NDArray[np.int_]:
    """Return the chart of a finding, (rows, columns, 3)."""
    size_px = round(WIDTH * UNIT_PX), round(HEIGHT * UNIT_PX)
    return np.asarray(draw_chart(finding, size_px, UNIT_PX)).astype(int)


def place(x_years: float, y_years: float, span_years: float = 20) -> tuple[int, int]:
    """Return row and column of a point of the chart."""
    x = LEFT + (WIDTH - LEFT - RIGHT) * x_years / span_years
    y = TOP + (HEIGHT - TOP - BOTTOM) * (1 - y_years / span_years)
    return round(y * UNIT_PX), round(x * UNIT_PX)


def is_at(page: npt.NDArray[np.int_], colour: Colour, where: tuple[int, int]) -> bool:
    """Return whether a colour is found within two units of a place."""
    row, column = where
    near = page[max(0, row - 4) : row + 5, max(0, column - 4) : column + 5]
    return bool((np.abs(near - np.asarray(colour)).max(axis=2) < 12).any())


def columns_of(page: npt.NDArray[np.int_], colour: Colour) -> npt.NDArray[np.int_]:
    """Return the columns where a colour is found."""
    return np.flatnonzero((np.abs(page - np.asarray(colour)).max(axis=2) < 12).any(axis=0))


def an_earlier(age_months: float | None, bone_age_months: float) -> EarlierResult:
    return EarlierResult(date(2022, 1, 1), age_months, bone_age_months, 9.0, "tjnet-old")


def test_the_child_stands_at_age_and_bone_age_with_the_interval() -> None:
    finding = a_finding(
        age_months=96, bone_age_months=168.0, interval_months=(150.0, 186.0), sex="M"
    )

    page = chart(finding)

    for bone_age_years in (12.5, 13.2, 14, 15.5):
        assert is_at(page, INK, place(8, bone_age_years))
    assert not is_at(page, INK, place(8, 16.3))
    assert not is_at(page, INK, place(9, 14))


def test_the_mean_goes_as_far_as_the_table_of_the_recorded_sex() -> None:
    for sex, last_years in (("M", 17), ("F", 16)):
        page = chart(a_finding(age_months=24, bone_age_months=24.0, sex=sex))
        columns = columns_of(page, SEX_COLOURS[sex])

        assert is_at(page, SEX_COLOURS[sex], place(10, 10.47))
        assert columns.max() == pytest.approx(place(last_years, 0)[1], abs=4)


def test_for_an_unknown_sex_both_are_drawn_and_told_apart() -> None:
    finding = a_finding(**UNKNOWN)

    assert curves(finding) == BOTH_COLOURS
    assert len(set(BOTH_COLOURS.values())) == 2
    # Only the boys' table goes beyond 16 years; only the girls' line is dashed.
    page, girl, boy = (chart(f) for f in (finding, a_finding(), a_finding(sex="M")))
    row, column = place(16.5, 17)
    assert (girl[row, column] == PAPER).all()
    assert (page[row, column] != PAPER).any()
    assert not np.array_equal(page, boy)


def test_without_an_age_there_is_no_point() -> None:
    page = chart(a_finding(age_months=None))

    assert columns_of(page, INK).size == 0


def test_earlier_results_are_joined_to_this_one() -> None:
    earlier = (an_earlier(60, 120.0), an_earlier(None, 30.0), an_earlier(84, 150.0))
    finding = replace(
        a_finding(age_months=108, bone_age_months=180.0, interval_months=(168.0, 192.0)),
        earlier=earlier,
    )

    page = chart(finding)

    for age_years, bone_age_years in ((5, 10), (7, 12.5), (9, 15)):
        assert is_at(page, INK, place(age_years, bone_age_years))
    assert is_at(page, INK, place(6, 11.25))
    assert is_at(page, INK, place(8, 13.75))
    without = chart(replace(finding, earlier=(earlier[0], earlier[2])))
    assert np.array_equal(page, without)


def test_an_infant_gets_a_closer_chart() -> None:
    infant: dict[str, Any] = {"bone_age_months": 12.0, "interval_months": (6.0, 18.0)}

    page = chart(a_finding(age_months=12, **infant))

    assert is_at(page, INK, place(1, 1, 4))
    # An older result beside it needs the whole chart.
    older = replace(a_finding(age_months=12, **infant), earlier=(an_earlier(60, 60.0),))
    assert is_at(chart(older), INK, place(5, 5))


@pytest.mark.parametrize(("age_months", "span_years"), [(228, 20), (239, 20), (250, 22)])
def test_the_oldest_are_on_the_chart(age_months: float, span_years: int) -> None:
    page = chart(
        a_finding(
            age_months=age_months, bone_age_months=210.0, interval_months=(200.0, 219.0), sex="M"
        )
    )

    spans = {span for span in (20, 22) if is_at(page, INK, place(age_months / 12, 17.5, span))}
    assert span_years in spans


def test_an_open_interval_ends_in_an_arrow() -> None:
    """Girls' atlas ends at 18 years, boys' at 19: the same interval is open for girls only."""
    values: dict[str, Any] = {"bone_age_months": 200.0, "interval_months": (180.0, 220.0)}
    girl, boy = (chart(a_finding(age_months=228, sex=sex, **values)) for sex in ("F", "M"))

    row, column = place(19, 220 / 12)
    widths = [
        int((page[row - 6 : row + 12, column - 12 : column + 13].min(axis=2) > 200).sum())
        for page in (girl, boy)
    ]

    assert widths[0] > widths[1]


def test_nobodys_settings_have_a_say(monkeypatch: pytest.MonkeyPatch) -> None:
    before = chart(a_finding())
    monkeypatch.setitem(mpl.rcParams, "lines.linewidth", 9.0)
    monkeypatch.setitem(mpl.rcParams, "axes.grid.axis", "x")
    monkeypatch.setitem(mpl.rcParams, "axes.facecolor", "white")

    assert np.array_equal(chart(a_finding()), before)
