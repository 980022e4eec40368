"""What the gate learns from and is measured on: hands by their split, and pictures without one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.tjnet.dataset import decode_picture, iter_pictures
from models.tjnet.preprocess import to_input

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

OVERSAMPLED = 2
"""Frames to learn from have so many times the network's side: parts of them are shown."""


@dataclass(frozen=True, slots=True)
class Others:
    """Pictures without a hand.

    Attributes
    ----------
    names : list of str
        Folder and name of each.
    large, small : Tensor
        (M, S, S) bytes, at the side to learn from and at the network's own.
    is_held_out : Tensor
        (M,) whether the rehearsal does not learn from it.
    """

    names: list[str]
    large: Tensor
    small: Tensor
    is_held_out: Tensor


def load_others(common: Sequence[Path], rare: Sequence[Path], size_px: int) -> Others:
    """Return pictures without a hand.

    Parameters
    ----------
    common : sequence of Path
        Folders or tars with many of a kind: half of them, by a hash of the name, are held out.
    rare : sequence of Path
        Folders or tars with few of a kind: all of them are held out.
    size_px : int
        The network's side.
    """
    names: list[str] = []
    held_out: list[bool] = []
    large: list[npt.NDArray[np.uint8]] = []
    small: list[npt.NDArray[np.uint8]] = []
    for folder in (*common, *rare):
        for stem, encoded in iter_pictures(folder):
            name = f"{folder.name}/{stem}"
            names.append(name)
            held_out.append(folder in rare or is_of_second_half(name))
            picture = decode_picture(encoded)
            large.append(to_input(picture, OVERSAMPLED * size_px))
            small.append(to_input(picture, size_px))
    return Others(
        names,
        _stacked(large, OVERSAMPLED * size_px),
        _stacked(small, size_px),
        torch.tensor(held_out, dtype=torch.bool),
    )


def _stacked(frames: Sequence[npt.NDArray[np.uint8]], size_px: int) -> Tensor:
    """Return (M, S, S) frames; M may be 0."""
    empty = np.zeros((0, size_px, size_px), dtype=np.uint8)
    return torch.from_numpy(np.concatenate([empty, *(frame[None] for frame in frames)]))


def is_of_second_half(name: str) -> bool:
    """Return whether a name's hash puts it into the half that is held out."""
    return hashlib.sha256(name.encode()).digest()[0] % 2 == 1
