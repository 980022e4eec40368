"""OHIF, in a real browser, shows what the node made of the phantom."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from playwright.sync_api import expect

from dicom_node import vocabulary as v
from tests.peers import wait_until

if TYPE_CHECKING:
    from tests.ohif import Ohif
    from tests.readers.study import PhantomStudy


SHOWN_SECONDS = 20.0
WARM_PIXELS = 1000
"""Far more than noise, far fewer than a heatmap."""


def warm_pixels(ohif: Ohif) -> int:
    """Count the yellow and red pixels in the viewport: a radiograph has none, nor has OHIF."""
    with Image.open(io.BytesIO(ohif.viewport().screenshot())) as image:
        red, _, blue = np.moveaxis(np.asarray(image.convert("RGB")).astype(int), 2, 0)
    return int((red > blue + 40).sum())


def test_the_heatmap_is_shown(ohif: Ohif) -> None:
    assert warm_pixels(ohif) < WARM_PIXELS
    ohif.open_series(v.SC_SERIES_DESCRIPTION)
    expect(ohif.overlay()).to_contain_text(v.SC_SERIES_DESCRIPTION)
    wait_until(lambda: warm_pixels(ohif) > WARM_PIXELS, SHOWN_SECONDS, "the heatmap's colours")
    assert ohif.errors == []


def test_the_measurements_are_listed(ohif: Ohif, study: PhantomStudy) -> None:
    """OHIF's tag browser finds the bone age, the interval's ends and the marking."""
    ohif.open_series(v.SR_SERIES_DESCRIPTION)
    months = (study.finding["bone_age_months"], *study.finding["interval_months"])
    for number in months:
        shown = f"{round(number, 1):g}"  # as JavaScript writes it
        assert "NumericValue" in ohif.tags(shown, exact=True)
    for words in (v.BONE_AGE.meaning, v.RESEARCH_USE):
        assert words in ohif.tags(words)


def test_the_measurements_stand_beside_the_box_of_the_hand(ohif: Ohif, study: PhantomStudy) -> None:
    """OHIF throws on a measurement group without coordinates, so the box is no ornament."""
    ohif.open_series(v.SR_SERIES_DESCRIPTION)
    ohif.reset_view()
    months = round(study.finding["bone_age_months"], 1)  # as the report has it
    label = f"{v.BONE_AGE.meaning}: {months:.2f} mo"
    expect(ohif.page.get_by_text(label)).to_be_visible()
    assert ohif.errors == []
