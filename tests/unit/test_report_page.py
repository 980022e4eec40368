"""The page of the secondary capture, as pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from dicom_node.report_page import LONG_SIDE, PANEL, PAPER, draw_page
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
    return page[:, -round(width * (PANEL - 10) / LONG_SIDE) :]


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

    width = page.shape[1] - round(page.shape[1] * PANEL / LONG_SIDE)
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
