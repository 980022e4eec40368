"""Augmentation of a batch, on whatever device the batch lies."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


@dataclass(frozen=True, slots=True)
class AugmentConfig:
    """Strengths; each transform draws anew for each image.

    Attributes
    ----------
    rotation_deg, shift, zoom, aspect : float
        Limits of rotation, of shift (share of the frame), of common scaling and of the
        ratio of the two scales: the frames are squashed, so the ratio varies from about
        1.0 to 1.5.
    flip, invert : float
        Probabilities of a mirror image and of inverted grey levels.
    gamma, contrast, brightness, noise : float
        Limits of the grey-level changes, on pixels in [0, 1].
    occlusion : float
        Probability of a bright or dark rectangle, as of a marker or a collimator.
    """

    rotation_deg: float = 20.0
    shift: float = 0.1
    zoom: float = 0.15
    aspect: float = 0.2
    flip: float = 0.5
    invert: float = 0.0
    gamma: float = 0.35
    contrast: float = 0.25
    brightness: float = 0.15
    noise: float = 0.02
    occlusion: float = 0.3


HALF = 0.5
"""Of the frame: a rectangle lies nearer the one border or the other."""


def _spread(batch: int, limit: float, generator: torch.Generator, device: torch.device) -> Tensor:
    """Return (B,) numbers drawn evenly from [-limit, limit]."""
    drawn = torch.rand(batch, generator=generator, device=device)
    return (drawn * 2 - 1) * limit


def _place(x: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Rotate, scale, shift and mirror."""
    batch, device = len(x), x.device
    angle = _spread(batch, math.radians(config.rotation_deg), generator, device)
    scale = torch.exp(_spread(batch, config.zoom, generator, device))
    ratio = torch.exp(_spread(batch, config.aspect, generator, device) / 2)
    mirror = torch.where(
        torch.rand(batch, generator=generator, device=device) < config.flip, -1.0, 1.0
    )
    cosine, sine = torch.cos(angle), torch.sin(angle)
    theta = torch.zeros(batch, 2, 3, device=device)
    theta[:, 0, 0] = cosine * scale * ratio * mirror
    theta[:, 0, 1] = -sine * scale * ratio
    theta[:, 1, 0] = sine * scale / ratio * mirror
    theta[:, 1, 1] = cosine * scale / ratio
    theta[:, 0, 2] = _spread(batch, 2 * config.shift, generator, device)
    theta[:, 1, 2] = _spread(batch, 2 * config.shift, generator, device)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)


def _grey(x: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Change gamma, contrast, brightness, noise; now and then turn black and white round."""
    batch, device = len(x), x.device

    def column(limit: float) -> Tensor:
        return _spread(batch, limit, generator, device)[:, None, None, None]

    x = x.clamp(1e-4, 1).pow(torch.exp(column(config.gamma)))
    x = (x - 0.5) * torch.exp(column(config.contrast)) + 0.5 + column(config.brightness)
    noise = torch.randn(x.shape, generator=generator, device=device)
    x = x + noise * column(config.noise).abs()
    turned = torch.rand(batch, 1, 1, 1, generator=generator, device=device) < config.invert
    return torch.where(turned, 1 - x, x).clamp(0, 1)


def _occlude(x: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Lay a rectangle of one grey level near a border over some of the images."""
    batch, device, size = len(x), x.device, x.shape[-1]
    drawn = torch.rand(batch, 6, generator=generator, device=device)
    along = torch.arange(size, device=device) / size
    half = 0.02 + 0.08 * drawn[:, 2:4]
    place = drawn[:, :2]
    centre = torch.where(place < HALF, place * 0.4, 1 - (1 - place) * 0.4)
    near_x = (along[None] - centre[:, :1]).abs() < half[:, :1]
    near_y = (along[None] - centre[:, 1:]).abs() < half[:, 1:]
    covered = near_y[:, :, None] & near_x[:, None, :] & (drawn[:, 4, None, None] < config.occlusion)
    level = drawn[:, 5, None, None].round()
    return torch.where(covered[:, None], level[:, None], x)


def augment(x: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Return an augmented copy of a batch.

    Parameters
    ----------
    x : Tensor
        (B, 1, S, S) in [0, 1].
    config : AugmentConfig
        Strengths.
    generator : torch.Generator
        On the device of ``x``; a run's seed and step decide it, so a resumed run draws the same.
    """
    return _occlude(_grey(_place(x, config, generator), config, generator), config, generator)
