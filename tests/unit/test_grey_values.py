"""The picture before its window: through the header's own it is what the node sees."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dicom_node.errors import PixelsError
from dicom_node.grey_values import read_grey_values
from dicom_node.pixels import render
from dicom_node.radiograph import wrap_radiograph
from models.phantom import draw_phantom

WHOLE_PX = 4096


@pytest.fixture(scope="module")
def picture() -> Any:  # noqa: ANN401 - an ndarray
    return draw_phantom("F", 130, height_px=320, width_px=256) / np.float32(4095)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"photometric": "MONOCHROME1"},
        {"voi": "lut"},
        {"voi": "none"},
        {"modality": "CR", "rescale": (2.5, -1024.0)},
        {"modality": "CR", "modality_lut": True, "bits_stored": 10},
        {"presentation": "FOR PROCESSING", "bits_stored": 16},
        {"attributes": {"WindowCenter": 1500, "WindowWidth": 900}},
        {"attributes": {"WindowCenter": 1500, "WindowWidth": 900, "VOILUTFunction": "SIGMOID"}},
        {"attributes": {"WindowCenter": 90000, "WindowWidth": 2}},
        {"attributes": {"PixelPaddingValue": 0}},
        {"photometric": "MONOCHROME1", "attributes": {"PixelPaddingValue": 4095}},
    ],
    ids=str,
)
def test_through_the_headers_window_it_is_what_the_node_sees(
    picture: Any,  # noqa: ANN401 - an ndarray
    options: dict[str, Any],
) -> None:
    dataset = wrap_radiograph(picture, **options)
    rendered = render(dataset)
    grey = read_grey_values(dataset, WHOLE_PX)
    assert np.abs(grey.shown() / 255 - rendered.pixels).max() < 0.005
    assert grey.notes == rendered.notes


def test_colours_are_seen_by_their_brightness(picture: Any) -> None:  # noqa: ANN401 - an ndarray
    dataset = wrap_radiograph(picture, bits_stored=8)
    red = np.rint(picture * 255).astype(np.uint8)
    dataset.set_pixel_data(np.stack([red, red // 2, red // 3], -1), "RGB", 8)
    shown = read_grey_values(dataset, WHOLE_PX).shown()
    assert np.abs(shown / 255 - render(dataset).pixels).max() < 0.005


@pytest.mark.parametrize(("limit_px", "shape"), [(160, (160, 128)), (320, (320, 256)), (1, (1, 1))])
def test_a_picture_is_made_small(picture: Any, limit_px: int, shape: tuple[int, int]) -> None:  # noqa: ANN401
    grey = read_grey_values(wrap_radiograph(picture), limit_px)
    assert grey.scaled.shape == shape
    # The mean over the pixels that become one, so that of the whole picture stays.
    assert grey.scaled.mean() / 65535 * (grey.high - grey.low) + grey.low == pytest.approx(
        4095 * picture.mean(), abs=1
    )


def test_what_cannot_be_a_picture() -> None:
    with pytest.raises(PixelsError, match="no contrast"):
        read_grey_values(wrap_radiograph(np.full((300, 300), 7, np.uint8)), WHOLE_PX)
    dataset = wrap_radiograph(draw_phantom("F", 130, height_px=256, width_px=256) / 4095.0)
    dataset.PhotometricInterpretation = "PALETTE COLOR"
    with pytest.raises(PixelsError, match="photometric"):
        read_grey_values(dataset, WHOLE_PX)
