"""The page of the secondary capture: the radiograph, the heatmap over it, the report beside it.

No DICOM here. Nothing that names a person is drawn unless a `PatientLabel` is given.

A page is laid out in units, `LONG_SIDE` along its long side unless the report is longer than that,
and then drawn at the scale of the source.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from dicom_node import report_panel
from dicom_node.overlay import draw_radiograph
from dicom_node.sheet import MARGIN, PAPER, Sheet
from dicom_node.words import ENGLISH

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from dicom_node.finding import Finding
    from dicom_node.patient_label import PatientLabel
    from dicom_node.words import Words

LONG_SIDE_PX: Final = (1024, 2048)
"""A page's long side lies between these: text stays legible, and the object small."""

LONG_SIDE: Final = 1024.0
PANELS: Final = (404.0, 504.0)
"""Of the page, in units, and of its written panel: wider if the report would be too long."""

CHART: Final = (190.0, 320.0)
"""The growth chart is between so many units high: as high as there is room for."""


@dataclass(frozen=True, slots=True)
class _Content:
    """What is written from the top, what from the bottom, and the chart between them."""

    head: Callable[[Sheet], None]
    foot: Callable[[Sheet], None]
    chart: Callable[[Sheet, float], None] | None = None


@dataclass(frozen=True, slots=True)
class _Plan:
    """Sizes in units; a chart that is not in the panel lies below the radiograph."""

    panel: float
    radiograph: tuple[float, float]
    height: float
    chart: float = 0.0
    is_chart_below: bool = False

    @property
    def long_side(self) -> float:
        return max(self.radiograph[0] + self.panel, self.height)


def draw_page(
    picture: npt.NDArray[np.floating],
    finding: Finding,
    words: Words = ENGLISH,
    patient: PatientLabel | None = None,
) -> npt.NDArray[np.uint8]:
    """Return the page as an RGB image.

    Parameters
    ----------
    picture : ndarray of float
        (H, W) in [0, 1], bone bright, on the source's own pixel grid. It keeps that grid unless
        the page's long side would be under 1024 or over 2048 pixels.
    finding : Finding
        What is written beside it; the estimate's heatmap covers the whole picture.
    words : Words
        The language.
    patient : PatientLabel or None
        Who is named at the top; without one, nobody is.

    Returns
    -------
    ndarray of uint8
        (rows, columns, 3).

    Raises
    ------
    ValueError
        If the picture is not two-dimensional, or is empty.
    """
    heatmap = finding.estimate.heatmap if finding.estimate.heatmap.size else None

    def head(sheet: Sheet) -> None:
        _write_patient(sheet, patient, words)
        report_panel.write_answer(sheet, finding, words)
        sheet.rule()
        report_panel.write_report(sheet, finding, words)

    def chart(sheet: Sheet, height: float) -> None:
        report_panel.write_chart(sheet, finding, words, height)

    def foot(sheet: Sheet) -> None:
        sheet.rule()
        if heatmap is not None:
            report_panel.write_legend(sheet, words)
            sheet.rule()
        report_panel.write_marking(sheet, words)

    return _drawn(picture, heatmap, _Content(head, foot, chart))


def draw_refusal(
    picture: npt.NDArray[np.floating],
    reason: str,
    words: Words = ENGLISH,
    patient: PatientLabel | None = None,
) -> npt.NDArray[np.uint8]:
    """Return the page of a radiograph that is not answered: why, and no number.

    Parameters
    ----------
    picture, words, patient
        As for `draw_page`.
    reason : str
        Why there is no bone age, in the language of the page.

    Raises
    ------
    ValueError
        If the picture is not two-dimensional, or is empty.
    """

    def head(sheet: Sheet) -> None:
        _write_patient(sheet, patient, words)
        report_panel.write_refusal(sheet, reason, words)

    def foot(sheet: Sheet) -> None:
        sheet.rule()
        report_panel.write_marking(sheet, words)

    return _drawn(picture, None, _Content(head, foot))


def _write_patient(sheet: Sheet, patient: PatientLabel | None, words: Words) -> None:
    if patient is not None:
        report_panel.write_patient(sheet, patient, words)


def _drawn(
    picture: npt.NDArray[np.floating],
    heatmap: npt.NDArray[np.floating] | None,
    content: _Content,
) -> npt.NDArray[np.uint8]:
    """Return radiograph, panel and chart, each in its place."""
    if picture.ndim != 2 or 0 in picture.shape:  # noqa: PLR2004 - rows and columns
        msg = f"a picture has rows and columns, not the shape {picture.shape}"
        raise ValueError(msg)
    plans = [_plan(picture.shape, content, PANELS[0])]
    if plans[0].height > LONG_SIDE:
        plans.append(_plan(picture.shape, content, PANELS[1]))
    plan = min(plans, key=lambda plan: plan.long_side)
    unit_px = _unit_px(picture.shape[0], plan)
    width, height = (max(1, round(side * unit_px)) for side in plan.radiograph)
    page_height = max(height, round(plan.height * unit_px))
    page = Image.new("RGB", (width + round(plan.panel * unit_px), page_height), PAPER)
    top = 0 if plan.is_chart_below else (page_height - height) // 2
    page.paste(draw_radiograph(picture, heatmap, (width, height)), (0, top))
    sheet = _panel(content, plan.panel, 0.0 if plan.is_chart_below else plan.chart, plan.height)
    page.paste(sheet.drawn(unit_px, (page.width - width, page_height)), (width, 0))
    if plan.is_chart_below:
        sheet = _below(content, plan.radiograph[0], plan.chart)
        page.paste(sheet.drawn(unit_px, (width, page_height - height)), (0, height))
    return np.asarray(page)


def _plan(shape: tuple[int, ...], content: _Content, panel: float) -> _Plan:
    """Return where things go beside a panel so wide; the chart, where the page is lower for it."""
    rows, columns = shape
    # The largest height that leaves the panel its width.
    high = min(LONG_SIDE, (LONG_SIDE - panel) * rows / columns)
    radiograph = high * columns / rows, high
    bare = _panel(content, panel).height
    if content.chart is None:
        return _Plan(panel, radiograph, max(high, bare))
    least, most = CHART
    inside = _panel(content, panel, least).height
    below = _below(content, radiograph[0], least).height
    height = max(high, inside)
    if max(high + below, bare) < height:
        height = max(high + below, bare)
        chart = least + height - high - below
        return _Plan(panel, radiograph, height, chart, is_chart_below=True)
    return _Plan(panel, radiograph, height, min(most, least + height - inside))


def _unit_px(rows: int, plan: _Plan) -> float:
    """Return the pixels of a unit: the source's own, if the page's long side allows it."""
    least, most = (side / plan.long_side for side in LONG_SIDE_PX)
    return min(max(rows / plan.radiograph[1], least), most)


def _panel(content: _Content, width: float, chart: float = 0.0, height: float = 0.0) -> Sheet:
    """Return the written panel, its foot at the bottom of so high a page if there is room."""
    foot = Sheet(width)
    content.foot(foot)
    sheet = Sheet(width)
    content.head(sheet)
    if chart and content.chart is not None:
        sheet.rule()
        content.chart(sheet, chart)
    sheet.y = max(sheet.y, height - foot.height + MARGIN)
    content.foot(sheet)
    return sheet


def _below(content: _Content, width: float, chart: float) -> Sheet:
    """Return the chart as it stands below a radiograph."""
    sheet = Sheet(width)
    if content.chart is not None:
        content.chart(sheet, chart)
    return sheet
