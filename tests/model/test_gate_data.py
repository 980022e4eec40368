"""The gate on real pictures: hands pass as they are and changed, everything else does not."""

from __future__ import annotations

import csv
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from PIL import Image

from dicom_node.pixels import read_picture_pixels
from models.gate.look import Gate
from models.tjnet.dataset import decode_picture, read_pictures

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    Picture = npt.NDArray[np.float32]

OTHERS = ("AbdomenCT", "BreastMRI", "CXR", "ChestCT", "HeadCT")
SIDE_PX = 299
VAL_COUNT = 40


@pytest.fixture(scope="module")
def gate() -> Gate:
    """Return the gate that ships."""
    return Gate()


@cache
def val_pictures(folder: Path) -> dict[str, Picture]:
    """Return every thirtieth or so picture of the val split."""
    with (folder / "labels.csv").open(encoding="utf-8") as file:
        names = [row["id"] for row in csv.DictReader(file) if row["split"] == "val"]
    return dict(read_pictures(folder, names[:: len(names) // VAL_COUNT][:VAL_COUNT]))


def enlarged(picture: Picture) -> Picture:
    """Return a picture large enough that its size is no reason to refuse it."""
    image = Image.fromarray(picture).resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)
    return np.asarray(image, dtype=np.float32)


def rotated(picture: Picture, angle_deg: float) -> Picture:
    return np.asarray(Image.fromarray(picture).rotate(angle_deg, Image.Resampling.BILINEAR))


@pytest.mark.parametrize("kind", OTHERS)
def test_mednist_without_a_hand_is_refused_whatever_its_size(
    gate: Gate, shared_data: Path, kind: str
) -> None:
    pictures = {
        p.name: decode_picture(p) for p in sorted((shared_data / "mednist" / kind).iterdir())
    }
    assert pictures
    assert all("smaller than" in str(gate.look(p).refusal) for p in pictures.values())
    looks = {name: gate.look(enlarged(picture)) for name, picture in pictures.items()}
    assert [name for name, look in looks.items() if look.refusal is None] == []


def test_the_negatives_are_refused_upright_turned_and_inverted(
    gate: Gate, shared_data: Path
) -> None:
    files = sorted((shared_data / "negatives").glob("*.dcm"))
    assert files
    for file in files:
        picture = read_picture_pixels(pydicom.dcmread(file))
        for given in (picture, np.rot90(picture), np.rot90(picture, 2), 1 - picture):
            assert gate.look(given).refusal is not None, file.name


def test_radiographs_of_hands_are_accepted_as_they_are(gate: Gate, shared_data: Path) -> None:
    files = sorted((shared_data / "radiographs").glob("*.png"))
    assert len(files) == 24
    for file in files:
        look = gate.look(decode_picture(file))
        assert (look.refusal, look.turned_deg, look.inverted) == (None, 0, False), file.name


def test_val_is_accepted(gate: Gate, shared_data: Path) -> None:
    looks = {name: gate.look(p) for name, p in val_pictures(shared_data / "rsna").items()}
    assert len(looks) == VAL_COUNT
    assert sum(look.refusal is not None for look in looks.values()) <= 1
    assert sum((look.turned_deg, look.inverted) != (0, False) for look in looks.values()) <= 1


@pytest.mark.parametrize(
    "change",
    [
        lambda p: p[:, ::-1],
        lambda p: rotated(p, 25),
        lambda p: rotated(p, -25),
        lambda p: p * 0.3,
        lambda p: np.clip(p + 0.25, 0, 1),
        lambda p: 0.4 + 0.2 * p,
        lambda p: p**2,
        lambda p: p[::2, ::2],
    ],
    ids=["mirror", "left", "right", "dark", "bright", "flat", "gamma", "coarse"],
)
def test_a_changed_hand_is_still_accepted(gate: Gate, shared_data: Path, change: object) -> None:
    assert callable(change)
    looks = [gate.look(change(p)) for p in val_pictures(shared_data / "rsna").values()]
    assert sum(look.refusal is not None for look in looks) <= 2
    assert sum((look.turned_deg, look.inverted) != (0, False) for look in looks) <= 2


def test_an_inverted_hand_is_recognised(gate: Gate, shared_data: Path) -> None:
    looks = [gate.look(1 - p) for p in val_pictures(shared_data / "rsna").values()]
    assert sum(not look.inverted for look in looks) <= 1
    assert sum(look.refusal is not None for look in looks) <= 2


@pytest.mark.parametrize("turned_deg", [90, 180, 270])
def test_a_turned_hand_is_accepted_and_turned_upright(
    gate: Gate, shared_data: Path, turned_deg: int
) -> None:
    pictures = val_pictures(shared_data / "rsna").values()
    looks = [gate.look(np.rot90(p, -turned_deg // 90)) for p in pictures]
    assert sum(look.turned_deg != turned_deg for look in looks) <= 2
    assert sum(look.refusal is not None for look in looks) <= 2


def test_two_hands_in_one_frame_are_refused(gate: Gate, shared_data: Path) -> None:
    pictures = [enlarged(p) for p in val_pictures(shared_data / "rsna").values()]
    pairs = [np.hstack([one, two[:, ::-1]]) for one, two in pairwise(pictures)]
    accepted = [look for look in map(gate.look, pairs) if look.refusal is None]
    assert len(accepted) <= 1


def test_half_a_hand_is_refused(gate: Gate, shared_data: Path) -> None:
    pictures = [enlarged(p) for p in val_pictures(shared_data / "rsna").values()]
    halves = [half for p in pictures for half in (p[SIDE_PX // 2 :], p[:, : SIDE_PX // 2])]
    accepted = [look for look in map(gate.look, halves) if look.refusal is None]
    assert len(accepted) <= len(halves) // 20
