"""Where on the radiograph the estimate comes from: Grad-CAM at block 4, and a finer map.

What is explained is the estimate itself: the score, before the softmax, of the class nearest to the
expectation in months that is reported, as Grad-CAM takes a class's score. It asks what speaks for
this age; the gradient of the expectation would ask what makes the hand look older.

``gradcam`` is Grad-CAM (Selvaraju et al., ICCV 2017) on block 4's output, where the paper takes
its heatmaps: channels weighted by the gradient's mean over the places, summed, the positive part.
The gradient is needed from block 4 up only, where the maps are small.

``fine`` is the product of that map and of LayerCAM (Jiang et al., IEEE TIP 2021;30:5875-5888) on
block 2's output, on a grid of half the step: block 4 says from which region the estimate comes,
block 2 which of its structures. Guided Grad-CAM is such a product too; LayerCAM stands in for
guided backpropagation, which shows edges whatever the weights are (Adebayo et al., NeurIPS 2018).
docs/adr/0008 says what was tried and why these two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from models.tjnet.network import MONTHS_PER_CLASS, TJNet, expected_months

if TYPE_CHECKING:
    import numpy.typing as npt

METHODS: Final = ("gradcam", "fine")


def check_method(method: str) -> None:
    """Refuse a method that there is not.

    Raises
    ------
    ValueError
        If ``method`` is none of `METHODS`.
    """
    if method not in METHODS:
        msg = f"the heatmap's method must be one of {', '.join(METHODS)}, not {method!r}"
        raise ValueError(msg)


def gradcam(network: TJNet, maps: Tensor, sex: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logits and the Grad-CAM of the estimate at block 4.

    Parameters
    ----------
    network : TJNet
        In evaluation mode.
    maps : Tensor
        (B, C4, h, w) output of block 4, e.g. ``network.maps(x)``.
    sex : Tensor
        (B,) indices of the recorded sex.

    Returns
    -------
    logits : Tensor
        (B, 79).
    heat : Tensor
        (B, h, w), not negative, not scaled.
    """
    maps = maps.detach().requires_grad_()
    logits = network.heads(maps, sex)
    (gradient,) = torch.autograd.grad(estimate_score(logits).sum(), maps)
    return logits.detach(), _weighted(gradient, maps.detach())


def fine(network: TJNet, early: Tensor, sex: Tensor) -> tuple[Tensor, Tensor]:
    """Return the logits, and Grad-CAM at block 4 times LayerCAM at block 2 of the estimate.

    Parameters
    ----------
    network : TJNet
        In evaluation mode.
    early : Tensor
        (B, C2, S/8, S/8) output of block 2, e.g. ``network.early(x)``.
    sex : Tensor
        (B,) indices of the recorded sex.

    Returns
    -------
    logits : Tensor
        (B, 79).
    heat : Tensor
        (B, S/8, S/8), not negative, not scaled.
    """
    early = early.detach().requires_grad_()
    with torch.enable_grad():
        late = network.late(early)
        logits = network.heads(late, sex)
        score = estimate_score(logits).sum()
    of_late, of_early = torch.autograd.grad(score, (late, early))
    coarse = _weighted(of_late, late.detach())
    structures = (torch.relu(of_early) * early.detach()).sum(dim=1)
    size = structures.shape[-2:]
    upsampled = F.interpolate(coarse[:, None], size, mode="bilinear", align_corners=False)[:, 0]
    return logits.detach(), upsampled * structures


def estimate_score(logits: Tensor) -> Tensor:
    """Return (B,) the logit of the age class nearest to the expectation, of (B, 79) logits."""
    with torch.no_grad():
        nearest = (expected_months(logits)[0] / MONTHS_PER_CLASS).round().long()
    return logits.gather(1, nearest[:, None])[:, 0]


def _weighted(gradient: Tensor, maps: Tensor) -> Tensor:
    """Return (B, h, w): Grad-CAM from the gradient and the maps, both (B, C, h, w)."""
    weight = gradient.mean(dim=(2, 3), keepdim=True)
    return torch.relu((weight * maps).sum(dim=1))


def as_picture(heat: Tensor) -> npt.NDArray[np.float32]:
    """Return one heatmap of (h, w) scaled to a peak of 1; an empty one stays empty."""
    peak = heat.max()
    scaled = heat / peak if peak > 0 else heat
    return scaled.cpu().numpy().astype(np.float32)
