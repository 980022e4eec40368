"""What the stress test does to a picture."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from models.tjnet.evaluation import transforms
from models.tjnet.evaluation.transforms import TRANSFORMS, Transform

KINDS = ["rotation", "flip", "brightness", "contrast", "inversion", "resolution", "marker"]


@pytest.fixture
def picture() -> npt.NDArray[np.float32]:
    """Return an uneven picture whose corners are grey."""
    levels = np.random.default_rng(1).integers(40, 200, (120, 90)) / 255
    return levels.astype(np.float32)


def find(kind: str, strength: str) -> Transform:
    (found,) = (t for t in TRANSFORMS if (t.kind, t.strength) == (kind, strength))
    return found


def test_there_are_the_seven_kinds_and_no_two_alike() -> None:
    assert list(dict.fromkeys(t.kind for t in TRANSFORMS)) == KINDS
    assert len({(t.kind, t.strength) for t in TRANSFORMS}) == len(TRANSFORMS)


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda t: f"{t.kind} {t.strength}")
def test_every_transform_changes_the_picture_and_leaves_the_original(
    transform: Transform, picture: npt.NDArray[np.float32]
) -> None:
    before = picture.copy()
    changed = transform(picture)
    assert (picture == before).all()
    assert changed.dtype == np.float32
    assert changed.ndim == 2
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert np.abs(changed * 255 - np.rint(changed * 255)).max() < 1e-4
    assert changed.shape != picture.shape or not (changed == picture).all()


def test_right_angles_are_exact_and_counter_clockwise() -> None:
    corner = np.zeros((3, 5), dtype=np.float32)
    corner[0, 4] = 1  # top right
    quarter = find("rotation", "90 degrees")(corner)
    assert quarter.shape == (5, 3)
    assert quarter[0, 0] == 1  # top left
    assert find("rotation", "180 degrees")(corner)[2, 0] == 1
    assert find("rotation", "270 degrees")(corner)[4, 2] == 1


def test_a_small_turn_is_counter_clockwise_and_black_outside() -> None:
    picture = np.full((200, 200), 0.5, dtype=np.float32)
    picture[95:105, 180:190] = 1  # at the right
    turned = find("rotation", "+30 degrees")(picture)
    assert turned.shape == picture.shape
    row, column = np.argwhere(turned > 0.9).mean(axis=0)
    # 85 px from the centre, 30 degrees up.
    assert row == pytest.approx(99.5 - 85 * 0.5, abs=1)
    assert column == pytest.approx(99.5 + 85 * 0.866, abs=1)
    assert turned[0, 0] == 0


def test_flips(picture: npt.NDArray[np.float32]) -> None:
    assert (find("flip", "left and right")(picture) == picture[:, ::-1]).all()
    assert (find("flip", "top and bottom")(picture) == picture[::-1]).all()


def test_levels_are_moved_and_clipped() -> None:
    levels = np.array([[0, 51, 102, 204]], dtype=np.float32) / np.float32(255)

    def bytes_of(kind: str, strength: str) -> list[int]:
        changed = np.rint(find(kind, strength)(levels)[0] * 255)
        return [int(level) for level in changed]

    assert bytes_of("brightness", "x 0.5") == [0, 26, 51, 102]
    assert bytes_of("brightness", "x 1.5") == [0, 76, 153, 255]
    assert bytes_of("brightness", "-10% of the range") == [0, 26, 76, 178]
    assert bytes_of("brightness", "+20% of the range") == [51, 102, 153, 255]
    # The mean is 89.25.
    assert bytes_of("contrast", "x 2") == [0, 13, 115, 255]
    assert bytes_of("contrast", "x 0.5") == [45, 70, 96, 147]
    assert bytes_of("inversion", "bone dark") == [255, 204, 153, 51]


def test_resolution_keeps_a_share_of_the_pixels() -> None:
    even = np.full((200, 100), 0.4, dtype=np.float32)
    assert find("resolution", "half the pixels")(even).shape == (141, 71)
    assert find("resolution", "a quarter of the pixels")(even).shape == (100, 50)
    noise = np.random.default_rng(2).random((200, 100)).astype(np.float32)
    blurred = find("resolution", "a sixteenth, enlarged again")(noise)
    assert blurred.shape == noise.shape
    assert blurred.std() < noise.std() / 2


@pytest.mark.parametrize(("letter", "size"), transforms.MARKERS)
def test_a_marker_is_white_in_its_corner_and_nowhere_else(letter: str, size: float) -> None:
    picture = np.full((300, 240), 0.3, dtype=np.float32)
    marked = transforms.add_marker(picture, letter, size)
    rows, columns = np.nonzero(marked > 0.9)
    height = rows.max() - rows.min() + 1
    assert height == pytest.approx(size * 300, abs=3)
    assert rows.max() < 60
    side = columns if letter == "L" else 239 - columns
    assert side.max() < 60
    assert ((marked == picture) | (marked > picture)).all()


def test_a_marker_fits_into_a_small_picture() -> None:
    marked = transforms.add_marker(np.zeros((6, 5), dtype=np.float32), "R", 0.15)
    assert marked.shape == (6, 5)
    assert marked.max() > 0
