"""Test-time augmentation: other views of one picture, whose logits are averaged."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

TURNS_DEG = (0.0, -10.0, -5.0, 5.0, 10.0)
VIEWS = (1, 2, 2 * len(TURNS_DEG))
"""The picture alone; with its mirror image; both at five small angles."""


def check_views(count: int) -> None:
    """Refuse a number of views that there is not.

    Raises
    ------
    ValueError
        If ``count`` is none of `VIEWS`.
    """
    if count not in VIEWS:
        msg = f"views must be one of {', '.join(map(str, VIEWS))}, not {count}"
        raise ValueError(msg)


def view(x: Tensor, count: int) -> Tensor:
    """Return the views of one picture, itself the first.

    Parameters
    ----------
    x : Tensor
        (1, 1, S, S) in [0, 1].
    count : int
        One of `VIEWS`.

    Returns
    -------
    Tensor
        (count, 1, S, S).
    """
    turned = [x] if count <= VIEWS[1] else [turned_about(x, angle) for angle in TURNS_DEG]
    mirrored = [] if count == 1 else [one.flip(-1) for one in turned]
    return torch.cat([*turned, *mirrored])


def turned_about(x: Tensor, angle_deg: float) -> Tensor:
    """Return (B, 1, S, S) frames turned about their centre; what comes in from outside is black."""
    if angle_deg == 0:
        return x
    cosine, sine = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    theta = torch.tensor([[cosine, -sine, 0.0], [sine, cosine, 0.0]], device=x.device)
    grid = F.affine_grid(theta.expand(len(x), 2, 3), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)
