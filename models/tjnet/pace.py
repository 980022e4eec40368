"""How a training moves: the rate along its steps, and the averaged weights behind the present."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


def rate_share(step: int, steps: int, warmup: int) -> float:
    """Return the share of the highest rate: a linear rise, then half a cosine to a hundredth."""
    if step < warmup:
        return (step + 1) / warmup
    share = (step - warmup) / max(1, steps - warmup)
    return 0.01 + 0.99 * (1 + math.cos(math.pi * share)) / 2


@torch.no_grad()
def pull_average(
    average: Mapping[str, Tensor], present: Mapping[str, Tensor], step: int, decay: float
) -> None:
    """Pull averaged weights towards the present ones; early on, faster.

    Parameters
    ----------
    average, present : mapping of Tensor
        Two states of one network; the first is changed.
    step : int
        Counted from 0.
    decay : float
        How much of the average stays, at most.
    """
    moving = [name for name, tensor in present.items() if tensor.is_floating_point()]
    # All of them in one call: on a GPU, 340 small ones take longer than their work.
    pull = torch.optim.swa_utils.get_ema_multi_avg_fn(  # type: ignore[no-untyped-call]
        min(decay, (1 + step) / (10 + step))
    )
    pull([average[name] for name in moving], [present[name] for name in moving], 0)
    for name in present.keys() - set(moving):
        average[name].copy_(present[name])
