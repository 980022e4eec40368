"""The same pixels give the same input, however they come."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from models.tjnet.dataset import decode_picture
from models.tjnet.preprocess import to_input
from tests.model.conftest import draw_picture

if TYPE_CHECKING:
    import numpy.typing as npt

PICTURE = draw_picture(100, seed=5)


def as_png(pixels: npt.NDArray[np.generic]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_a_png_gives_what_its_array_gives() -> None:
    from_file = to_input(decode_picture(as_png(PICTURE)), 48)
    from_array = to_input(PICTURE.astype(np.float32) / np.float32(255), 48)
    assert from_file.tobytes() == from_array.tobytes()


def test_sixteen_bits_give_what_eight_bits_give() -> None:
    eight = to_input(decode_picture(as_png(PICTURE)), 48)
    sixteen = to_input(decode_picture(as_png(PICTURE.astype(np.uint16) * 257)), 48)
    assert sixteen.tobytes() == eight.tobytes()


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_the_type_does_not_matter(dtype: type[np.generic]) -> None:
    assert to_input(PICTURE.astype(dtype), 48).tobytes() == to_input(PICTURE, 48).tobytes()


@given(slope=st.floats(0.01, 100), intercept=st.floats(-1000, 1000))
def test_slope_and_intercept_do_not_matter(slope: float, intercept: float) -> None:
    moved = to_input(PICTURE * slope + intercept, 32).astype(int)
    # float32 keeps 24 bits: values near 1000 with a slope of 0.01 lose some to the intercept.
    assert np.abs(moved - to_input(PICTURE, 32)).max() <= 1


def test_the_input_uses_every_level_from_black_to_white() -> None:
    levels = to_input(PICTURE, 48)
    assert levels.dtype == np.uint8
    assert levels.shape == (48, 48)
    assert (levels.min(), levels.max()) == (0, 255)


def test_a_frame_of_the_right_size_is_only_stretched() -> None:
    ramp = np.linspace(10, 20, 32 * 32).reshape(32, 32)
    assert (np.diff(to_input(ramp, 32).ravel().astype(int)) >= 0).all()


def test_any_aspect_ratio_is_squashed() -> None:
    assert to_input(np.tile(PICTURE, (2, 1)), 40).shape == (40, 40)


def test_one_bright_pixel_does_not_darken_the_frame() -> None:
    marked = PICTURE.astype(np.int32)
    marked[80, 80] = 60_000
    assert np.abs(to_input(marked, 160).astype(int) - to_input(PICTURE, 160)).mean() < 2


@pytest.mark.parametrize("level", [0, 7, 65535])
def test_a_frame_without_contrast_is_all_zero(level: int) -> None:
    assert not to_input(np.full((50, 40), level, dtype=np.uint16), 32).any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused(value: float) -> None:
    picture = PICTURE.astype(np.float32)
    picture[3, 4] = value
    with pytest.raises(ValueError, match="not finite"):
        to_input(picture, 32)


@pytest.mark.parametrize("shape", [(0, 10), (10,), (10, 10, 3), ()])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="two-dimensional"):
        to_input(np.zeros(shape), 32)
