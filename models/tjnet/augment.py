"""Augmentation of a batch, on whatever device the batch lies."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


@dataclass(frozen=True, slots=True)
class AugmentConfig:
    """Strengths; each transform draws anew for each image.

    Attributes
    ----------
    rotation_deg : float
        Limit of rotation; small angles are drawn more often than large ones.
    frame_aspect : float
        The frames were squashed to squares: rotation is done in a frame of up to so many
        times its width, which is squashed again afterwards.
    aspect : float
        Limit of the logarithm of the remaining ratio of the two scales: other detectors have
        other frames.
    shift, zoom : float
        Limits of shift (share of the frame) and of common scaling (logarithm).
    flip, invert : float
        Probabilities of a mirror image and of inverted grey levels.
    gamma, contrast, brightness, noise : float
        Limits of the grey-level changes, on pixels in [0, 1].
    blur : float
        Probability of lost resolution: of half the pixels, or a smoothing over three.
    exposure : float
        Probability of a low exposure: few grey levels, and their noise.
    occlusion : float
        Probability of a bright or dark rectangle near a border.
    marker : float
        Probability of a bright letter, as of a laterality marker, near a border.
    collimator : float
        Probability of an even margin of up to 8 % of the frame on each side.
    """

    rotation_deg: float = 40.0
    frame_aspect: float = 1.5
    aspect: float = 0.2
    shift: float = 0.1
    zoom: float = 0.15
    flip: float = 0.5
    invert: float = 0.03
    gamma: float = 0.35
    contrast: float = 0.25
    brightness: float = 0.15
    noise: float = 0.02
    blur: float = 0.2
    exposure: float = 0.15
    occlusion: float = 0.3
    marker: float = 0.25
    collimator: float = 0.1

    def scaled(self, share: float) -> AugmentConfig:
        """Return the same with a share of every strength; mirror images stay as frequent."""
        strengths = {name: value * share for name, value in asdict(self).items()}
        strengths["flip"] = self.flip
        strengths["frame_aspect"] = self.frame_aspect**share
        return AugmentConfig(**strengths)


HALF = 0.5
"""Of the frame: a rectangle lies nearer the one border or the other; or one case of two."""

MARGIN = 0.08
FEWEST_LEVELS, MOST_LEVELS = 24, 128


class _Draw:
    """Numbers for each image of a batch, from a generator on the batch's device."""

    def __init__(self, x: Tensor, generator: torch.Generator) -> None:
        self.batch, self.device, self.generator = len(x), x.device, generator

    def even(self, *shape: int) -> Tensor:
        """Return (B, *shape) numbers in [0, 1)."""
        return torch.rand(self.batch, *shape, generator=self.generator, device=self.device)

    def spread(self, limit: float) -> Tensor:
        """Return (B,) numbers in [-limit, limit)."""
        return (self.even() * 2 - 1) * limit

    def chosen(self, probability: float) -> Tensor:
        """Return (B, 1, 1, 1) choices."""
        return self.even(1, 1, 1) < probability

    def normal(self, like: Tensor) -> Tensor:
        """Return standard normal noise of the form of ``like``."""
        return torch.randn(like.shape, generator=self.generator, device=self.device)


def _place(x: Tensor, config: AugmentConfig, draw: _Draw) -> Tensor:
    """Rotate in the frame before it was squashed; scale, shift and mirror."""
    turn = draw.spread(1.0)
    angle = turn * turn.abs().sqrt() * math.radians(config.rotation_deg)
    ratio = torch.exp(draw.spread(config.aspect))
    scale = torch.exp(draw.spread(config.zoom)) / ratio.sqrt()
    tall = torch.exp(draw.even() * math.log(config.frame_aspect))
    mirror = torch.where(draw.even() < config.flip, -1.0, 1.0)
    cosine, sine = torch.cos(angle), torch.sin(angle)
    theta = torch.zeros(draw.batch, 2, 3, device=draw.device)
    # From the squashed output (x, y) to tall * ratio, turned, and squashed by tall again.
    theta[:, 0, 0] = cosine * scale * mirror
    theta[:, 0, 1] = -sine * scale * tall * ratio
    theta[:, 1, 0] = sine * scale / tall * mirror
    theta[:, 1, 1] = cosine * scale * ratio
    theta[:, 0, 2] = draw.spread(2 * config.shift)
    theta[:, 1, 2] = draw.spread(2 * config.shift)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, align_corners=False)


def _resolve(x: Tensor, config: AugmentConfig, draw: _Draw) -> Tensor:
    """Lose resolution, as a coarser detector or a screen copy does."""
    coarse = F.interpolate(
        F.avg_pool2d(x, 2), size=x.shape[-2:], mode="bilinear", align_corners=False
    )
    smooth = F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
    lost = torch.where(draw.chosen(HALF), coarse, smooth)
    return torch.where(draw.chosen(config.blur), lost, x)


def _grey(x: Tensor, config: AugmentConfig, draw: _Draw) -> Tensor:
    """Change gamma, contrast, brightness, noise; now and then turn black and white round."""

    def column(limit: float) -> Tensor:
        return draw.spread(limit)[:, None, None, None]

    x = x.clamp(1e-4, 1).pow(torch.exp(column(config.gamma)))
    x = (x - 0.5) * torch.exp(column(config.contrast)) + 0.5 + column(config.brightness)
    x = x + draw.normal(x) * column(config.noise).abs()
    return torch.where(draw.chosen(config.invert), 1 - x, x).clamp(0, 1)


def _expose(x: Tensor, config: AugmentConfig, draw: _Draw) -> Tensor:
    """Leave few grey levels and their noise, as a stretched dark frame has."""
    levels = FEWEST_LEVELS + draw.even(1, 1, 1) * (MOST_LEVELS - FEWEST_LEVELS)
    few = ((x * levels + draw.normal(x)).round() / levels).clamp(0, 1)
    return torch.where(draw.chosen(config.exposure), few, x)


def _within(size: int, centre: Tensor, half: Tensor) -> Tensor:
    """Return (B, 1, size, size): the pixels within a rectangle of (B, 2) centre and half sides."""
    along = (torch.arange(size, device=centre.device) + HALF) / size
    near_x = (along[None] - centre[:, :1]).abs() < half[:, :1]
    near_y = (along[None] - centre[:, 1:]).abs() < half[:, 1:]
    return (near_y[:, :, None] & near_x[:, None, :])[:, None]


def _near_border(place: Tensor) -> Tensor:
    """Move places in [0, 1) to within two fifths of the half frame next to a border."""
    return torch.where(place < HALF, place * 0.4, 1 - (1 - place) * 0.4)


def _occlude(x: Tensor, config: AugmentConfig, draw: _Draw) -> Tensor:
    """Lay a rectangle of one grey level near a border over some of the images."""
    half = 0.02 + 0.08 * draw.even(2)
    covered = _within(x.shape[-1], _near_border(draw.even(2)), half)
    level = draw.even(1, 1, 1).round()
    return torch.where(covered & draw.chosen(config.occlusion), level, x)


def _mark(x: Tensor, config: AugmentConfig, draw: _Draw) -> Tensor:
    """Lay a bright letter of two strokes near a border over some of the images."""
    centre = _near_border(draw.even(2))
    size = 0.02 + 0.04 * draw.even(1)
    along, across = size * torch.tensor([[1.0, 0.25]], device=x.device), size / 4
    side = torch.where(draw.even(1) < HALF, -1.0, 1.0)
    upright = _within(x.shape[-1], centre, torch.cat([across, size], dim=1))
    foot = torch.cat([centre[:, :1] + side * size * 0.75, centre[:, 1:] + size * 0.75], dim=1)
    letter = upright | _within(x.shape[-1], foot, along)
    level = 0.7 + 0.3 * draw.even(1, 1, 1)
    return torch.where(letter & draw.chosen(config.marker), level, x)


def _collimate(x: Tensor, config: AugmentConfig, draw: _Draw) -> Tensor:
    """Leave an even margin around some of the images."""
    low, high = MARGIN * draw.even(2), 1 - MARGIN * draw.even(2)
    field = _within(x.shape[-1], (low + high) / 2, (high - low) / 2)
    level = draw.even(1, 1, 1).round()
    return torch.where(field | ~draw.chosen(config.collimator), x, level)


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
    draw = _Draw(x, generator)
    for change in (_place, _resolve, _grey, _expose, _occlude, _mark, _collimate):
        x = change(x, config, draw)
    return x
