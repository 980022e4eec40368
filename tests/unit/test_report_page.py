"""The page of the secondary capture, as pixels."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from dicom_node.finding import Correction
from dicom_node.growth import EarlierResult
from dicom_node.patient_label import PatientLabel
from dicom_node.report_page import LONG_SIDE, PANELS, draw_page, draw_refusal
from dicom_node.sheet import MARGIN, PAPER
from tests.samples import UNKNOWN, a_finding

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

COLD = np.zeros((20, 20), dtype=np.float32)


def a_picture(rows: int, columns: int) -> npt.NDArray[np.float32]:
    """Return a slope from black, on the left, to white."""
    slope = np.linspace(0, 1, columns, dtype=np.float32)
    return np.broadcast_to(slope, (rows, columns)).copy()


def panel_of(page: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the written part of a page: the last columns."""
    width = page.shape[1]
    return page[:, -round(width * (PANELS[0] - 10) / LONG_SIDE) :]


@pytest.mark.parametrize(
    "shape",
    [(64, 64), (300, 200), (1200, 900), (1674, 1240), (3000, 2400), (2400, 3000), (900, 200)],
)
def test_a_page_is_between_1024_and_2048_pixels_long(shape: tuple[int, int]) -> None:
    page = draw_page(a_picture(*shape), a_finding())

    assert page.dtype == np.uint8
    assert page.shape[2] == 3
    assert 1024 <= max(page.shape) <= 2048 + 1


def test_a_radiograph_of_ordinary_size_keeps_its_pixel_grid() -> None:
    picture = (np.indices((1500, 1100)).sum(axis=0) % 2).astype(np.float32)

    page = draw_page(picture, a_finding(heatmap=COLD))

    assert page.shape[0] == 1500
    expected = np.repeat(picture[..., np.newaxis] * 255, 3, axis=-1)
    assert np.array_equal(page[:, :1100], expected.astype(np.uint8))


def test_a_radiograph_keeps_its_shape() -> None:
    picture = np.zeros((400, 300), dtype=np.float32)
    picture[:, :] = 0.5
    picture[0, 0], picture[-1, -1] = 0.0, 1.0

    page = draw_page(picture, a_finding(heatmap=COLD))

    # The panel may be higher than the radiograph, which then has paper above and below.
    page = page[(page[:, 0] != PAPER).any(axis=-1)]
    width = page.shape[1] - round(page.shape[1] * PANELS[0] / LONG_SIDE)
    assert width / page.shape[0] == pytest.approx(300 / 400, abs=0.01)


def test_without_heat_the_radiograph_is_gray_and_with_heat_it_is_tinted_there() -> None:
    picture = a_picture(1400, 1000)
    heat = COLD.copy()
    heat[:10, :10] = 1.0

    page = draw_page(picture, a_finding(heatmap=heat))[:1400, :1000].astype(int)

    tint = page.max(axis=-1) - page.min(axis=-1)
    assert tint[:600, :400].min() > 20
    assert tint[800:, :].max() == 0
    assert tint[:, 600:].max() == 0
    # The heat rises over the whole picture's grid without steps.
    assert np.abs(np.diff(page[300, :, 0])).max() < 10


def test_bone_stays_visible_under_the_heat() -> None:
    picture = a_picture(1400, 1000)
    hot = np.ones((20, 20), dtype=np.float32)

    page = draw_page(picture, a_finding(heatmap=hot))[:1400, :1000].astype(int)

    assert page[700, 990].sum() - page[700, 10].sum() > 250


def test_a_dark_or_flat_radiograph_is_drawn() -> None:
    dark = draw_page(a_picture(1400, 1000) * 0.05, a_finding(heatmap=COLD))
    flat = draw_page(np.full((1400, 1000), 0.3), a_finding(heatmap=COLD))

    assert dark[:, :1000].max() == 255
    assert flat[:, :1000].std() == 0


@pytest.mark.parametrize("changes", [{}, UNKNOWN, {"age_months": None}, {"laterality": None}])
def test_the_report_is_written_beside_it(changes: dict[str, Any]) -> None:
    panel = panel_of(draw_page(a_picture(800, 600), a_finding(**changes)))

    assert (panel != PAPER).any(axis=-1).mean() > 0.01
    # Text never runs into the margins: the outermost columns hold nothing.
    assert (panel[:, -8:] == PAPER).all()
    assert (panel[-8:] == PAPER).all()


def test_another_answer_is_another_page() -> None:
    first, second = (
        draw_page(a_picture(800, 600), a_finding(bone_age_months=age)) for age in (124.2, 125.2)
    )

    assert not np.array_equal(panel_of(first), panel_of(second))


def test_a_real_radiograph_is_legible(shared_data: Path) -> None:
    with Image.open(shared_data / "radiographs" / "1393.png") as image:
        picture = np.asarray(image.convert("L"), dtype=np.float32) / 255

    page = Image.fromarray(draw_page(picture, a_finding()))
    page.thumbnail((1024, 1024))

    # Type on a page shown 1024 pixels long: rows of the panel with ink are 10 or more high.
    ink = (np.asarray(page.convert("L"))[:, -380:-20] > 140).any(axis=1)
    edges = np.flatnonzero(np.diff(ink.astype(int)))
    heights = np.diff(edges)[::2]
    assert len(heights) >= 12
    assert np.median(heights) >= 10


@pytest.mark.parametrize("shape", [(0, 4), (4,), (4, 4, 3)])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="rows and columns"):
        draw_page(np.zeros(shape), a_finding())


JANE = PatientLabel("Doe, Jane · 山田 花子", "P1", "2026-01-01")


def test_a_patient_is_named_only_where_a_label_is_given() -> None:
    picture, finding = a_picture(800, 600), a_finding()

    named, unnamed = draw_page(picture, finding, patient=JANE), draw_page(picture, finding)
    other = draw_page(picture, finding, patient=replace(JANE, name="Roe, Jane"))

    assert not np.array_equal(named, unnamed)
    assert not np.array_equal(named, other)
    # The radiograph itself is as it was.
    assert np.array_equal(named[:, 0][(named[:, 0] != PAPER).any(axis=-1)], unnamed[:, 0])


def test_a_name_without_end_is_cut_short() -> None:
    page = draw_page(a_picture(800, 600), a_finding(), patient=replace(JANE, name="Doe " * 9999))

    assert max(page.shape) <= 2048 + 1


def test_a_report_too_long_for_the_radiograph_has_a_page_as_long_as_another() -> None:
    """The panel is wider then, and the chart may stand below the radiograph."""
    earlier = tuple(EarlierResult(date(2020, n, 1), 90.0 + n, 91.0, 9.0, "w") for n in (1, 3, 5, 9))
    actors = [f"an administrator with a very long name and an address, number {n}" for n in (1, 2)]
    finding = replace(
        a_finding(inverted=True, turned_deg=90, sex="M", calibration="site-0123456789ab"),
        earlier=earlier,
        corrections=tuple(Correction("PatientSex", "M", actor * 4) for actor in actors),
    )

    page = draw_page(a_picture(1200, 900), finding)

    assert 1024 <= max(page.shape) <= 2048 + 1
    assert (page[:, -8:] == PAPER).all()
    assert (page[-8:, -300:] == PAPER).all()


def test_under_a_wide_radiograph_stands_the_chart() -> None:
    page = draw_page(a_picture(800, 1200), a_finding(heatmap=COLD))

    unit_px = page.shape[1] / LONG_SIDE
    width = round((LONG_SIDE - PANELS[0]) * unit_px)
    bottom = round(width * 800 / 1200)
    below = page[bottom + 4 :, :width]
    assert (below != PAPER).any(axis=-1).mean() > 0.02
    # Nothing touches its edges.
    left = round((MARGIN - 4) * unit_px)
    assert (below[:, :left] == PAPER).all()
    assert (below[:, -left:] == PAPER).all()


def test_a_page_without_a_heatmap_has_no_legend() -> None:
    picture = a_picture(800, 600)
    none = draw_page(picture, a_finding(heatmap=np.zeros((0, 0), dtype=np.float32)))
    cold = draw_page(picture, a_finding(heatmap=COLD))

    # The bar of colours is the one thing on a panel that is as wide as it, and thick.
    def bar(page: npt.NDArray[np.uint8]) -> int:
        panel = panel_of(page).astype(int)
        colours = (panel.max(axis=-1) > 100).mean(axis=1)
        return int((colours > 0.85).sum())

    assert bar(cold) > 5
    assert bar(none) == 0


def test_a_refusal_says_why_and_shows_neither_heat_nor_number() -> None:
    picture = a_picture(1400, 1000)

    page, other = (draw_refusal(picture, reason) for reason in ("no hand", "too dark"))

    assert not np.array_equal(panel_of(page), panel_of(other))
    radiograph = page[:1400, :1000].astype(int)
    assert (radiograph.max(axis=-1) - radiograph.min(axis=-1)).max() == 0
    # A line or two, and the marking: much less than a report.
    assert ink_of(page) < 0.4 * ink_of(draw_page(picture, a_finding()))
    assert not np.array_equal(page, draw_refusal(picture, "no hand", patient=JANE))


def ink_of(page: npt.NDArray[np.uint8]) -> float:
    """Return how much of a panel is written on."""
    return float((panel_of(page) != PAPER).any(axis=-1).mean())


def test_a_refusal_of_no_picture_is_an_error() -> None:
    with pytest.raises(ValueError, match="rows and columns"):
        draw_refusal(np.zeros((0, 4)), "no hand")
