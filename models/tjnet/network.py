"""TJ-Net, the joint bone-age and sex network, in the order of the paper.

Tang W., Wu G., Shen G., "Automatic Radiographic Bone Age Assessment Using Deep Joint
Learning with Attention Modules", 2020, doi:10.3233/ATDE200080. Where the paper is silent
(widths, strides, the place of the third CBAM, the depth of blocks 3 and 4) the choice is
this project's and is listed in docs/model-card.md.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import torch
from monai.networks.blocks.convolutions import Convolution
from torch import Tensor, nn

AGE_CLASSES = 77
"""Classes of 3 months, 0 to 19 years: class k is 3k months (paper)."""

MONTHS_PER_CLASS = 3.0
SEX_CLASSES = 2
SEX_FEATURES = 64
"""Width of the recorded sex beside the image's features (paper)."""

SEX_INPUTS = ("M", "F", "unknown")
"""Indices of the recorded sex as the network takes it; the first two are the sex targets."""


@dataclass(frozen=True, slots=True)
class TJNetConfig:
    """What the shape of a TJ-Net depends on; it is stored with the weights.

    Attributes
    ----------
    input_size_px : int
        Side of the square input.
    width : float
        Factor on every channel count; 1.0 is the published width.
    cbam, shortcuts, sex_task : bool
        The paper's three ablations, each on by default.
    dropout : float
        Dropout before the last layers of blocks 5 and 6.
    """

    input_size_px: int = 299
    width: float = 1.0
    cbam: bool = True
    shortcuts: bool = True
    sex_task: bool = True
    dropout: float = 0.2

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dictionary, for the weights card."""
        return asdict(self)


Kernel: TypeAlias = int | tuple[int, int]
Chains: TypeAlias = tuple[tuple[Kernel, ...], ...]


def conv(in_channels: int, out_channels: int, kernel: Kernel = 3, stride: int = 1) -> Convolution:
    """Convolution, batch norm, ReLU: the paper's basic unit."""
    return Convolution(
        spatial_dims=2,
        in_channels=in_channels,
        out_channels=out_channels,
        kernel_size=kernel,
        strides=stride,
        act="RELU",
        norm="BATCH",
        bias=False,
    )


class CBAM(nn.Module):
    """Convolutional block attention: a channel gate, then a spatial gate (paper).

    Input and output are (B, C, H, W). The channel gate sums a shared two-layer MLP over the
    average- and the max-pooled vector; the spatial gate is a 7x7 convolution over the
    channel-wise mean and maximum.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = max(channels // reduction, 4)
        self.mlp = nn.Sequential(
            nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels)
        )
        self.spatial = nn.Conv2d(2, 1, kernel_size=7, padding=3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return ``x`` gated by channel and by place."""
        pooled = self.mlp(x.mean(dim=(2, 3))) + self.mlp(x.amax(dim=(2, 3)))
        x = x * torch.sigmoid(pooled)[:, :, None, None]
        seen = torch.cat([x.mean(dim=1, keepdim=True), x.amax(dim=1, keepdim=True)], dim=1)
        gated: Tensor = x * torch.sigmoid(self.spatial(seen))
        return gated


class Branches(nn.Module):
    """Parallel chains of convolutions, concatenated: what all four multi-scale blocks share.

    Parameters
    ----------
    in_channels : int
        Channels of the input.
    out_channels : int
        Channels of the output; the branches share them equally, the first takes the rest.
    chains : tuple of tuple of kernel sizes
        One tuple a branch, e.g. ``((1,), (1, 3), (1, (1, 3), (3, 1)))``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        chains: Chains,
    ) -> None:
        super().__init__()
        share = out_channels // len(chains)
        self.out_channels = out_channels
        branches = []
        for index, chain in enumerate(chains):
            width = share if index else out_channels - share * (len(chains) - 1)
            layers: list[nn.Module] = []
            channels = in_channels
            for kernel in chain:
                layers.append(conv(channels, width, kernel))
                channels = width
            branches.append(nn.Sequential(*layers))
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        """Return the branches' outputs along the channel axis."""
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class IncRes(nn.Module):
    """A residual multi-scale module: branches, a linear 1x1 convolution, the shortcut (paper)."""

    def __init__(
        self,
        channels: int,
        chains: Chains,
        *,
        shortcut: bool,
    ) -> None:
        super().__init__()
        self.shortcut = shortcut
        self.branches = Branches(channels, channels // 2, chains)
        self.project = Convolution(
            spatial_dims=2,
            in_channels=channels // 2,
            out_channels=channels,
            kernel_size=1,
            act=None,
            norm="BATCH",
            bias=False,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, H, W), the same shape as ``x``."""
        out = self.project(self.branches(x))
        return torch.relu(x + out if self.shortcut else out)


INCRES1: Chains = ((1,), (1, 3), (1, 3, 3))
INCRES2: Chains = ((1,), (1, 3), (1, (1, 3), (3, 1)))
INCEPTION1: Chains = ((1,), (1, 3), (1, 5), (1, (1, 3), (3, 1)))
INCEPTION2: Chains = ((1,), (1, 3), (1, (1, 7), (7, 1)), (1, (1, 3), (3, 1)))


def sex_classifier(features: int, dropout: float) -> nn.Sequential:
    """Block 5: the sex that the image shows (paper), from features of one scale (ours).

    The features' SDs lie near 0.08: without the normalisation the head learns next to nothing
    while the age head, which outgrows that with its weights, learns well.
    """
    return nn.Sequential(
        nn.BatchNorm1d(features),
        nn.Linear(features, 256),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(256, SEX_CLASSES),
    )


def age_classifier(features: int, dropout: float) -> nn.Sequential:
    """Block 6: the age, from the image's features and the recorded sex (paper)."""
    return nn.Sequential(
        nn.Linear(features, 512),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(512, 256),
        nn.ReLU(),
        nn.Linear(256, AGE_CLASSES),
    )


def one_hot(sex: Tensor, features: Tensor, inputs: int = len(SEX_INPUTS)) -> Tensor:
    """Return (B, 3) the recorded sex as numbers of the features' type."""
    # The number is a parameter since TorchScript knows no globals.
    return nn.functional.one_hot(sex, inputs).to(features.dtype)


class TJNet(nn.Module):
    """Bone age and sex from one radiograph and the recorded sex.

    ``forward(x, sex)`` takes (B, 1, S, S) pixels in [0, 1] and (B,) indices into `SEX_INPUTS`
    and returns (B, 79) logits: 77 age classes, then 2 sexes.
    """

    def __init__(self, config: TJNetConfig) -> None:
        super().__init__()
        self.config = config

        def wide(channels: int) -> int:
            return max(8, int(channels * config.width) // 8 * 8)

        def attention(channels: int) -> nn.Module:
            return CBAM(channels) if config.cbam else nn.Identity()

        def incres(channels: int, chains: Chains) -> IncRes:
            return IncRes(channels, chains, shortcut=config.shortcuts)

        c1, c2, c3, c4, c5, c6 = (wide(c) for c in (64, 192, 256, 512, 768, 1024))
        self.block1 = nn.Sequential(
            conv(1, wide(32), stride=2),
            conv(wide(32), wide(32)),
            conv(wide(32), c1),
            nn.MaxPool2d(3, stride=2, padding=1),
            attention(c1),
        )
        self.block2 = nn.Sequential(
            conv(c1, wide(80), 1),
            conv(wide(80), c2),
            nn.MaxPool2d(3, stride=2, padding=1),
            attention(c2),
        )
        self.block3 = nn.Sequential(
            conv(c2, c3, 1), incres(c3, INCRES1), attention(c3), incres(c3, INCRES1)
        )
        self.block4 = nn.Sequential(
            conv(c3, c4, stride=2), incres(c4, INCRES2), incres(c4, INCRES2)
        )
        self.inception1 = Branches(c4, c5, INCEPTION1)
        self.inception2 = Branches(c5, c6, INCEPTION2)
        self.block5 = sex_classifier(c6, config.dropout)
        self.sex_embedding = nn.Sequential(nn.Linear(len(SEX_INPUTS), SEX_FEATURES), nn.ReLU())
        self.block6 = age_classifier(c6 + SEX_FEATURES, config.dropout)

    def maps(self, x: Tensor) -> Tensor:
        """Return block 4's feature maps, (B, C4, S/16, S/16): where the heatmap is taken."""
        return self.late(self.early(x))

    def early(self, x: Tensor) -> Tensor:
        """Return block 2's feature maps, (B, C2, S/8, S/8)."""
        out: Tensor = self.block2(self.block1(x))
        return out

    def late(self, early: Tensor) -> Tensor:
        """Return block 4's feature maps from those of block 2."""
        out: Tensor = self.block4(self.block3(early))
        return out

    def features(self, maps: Tensor) -> Tensor:
        """Return (B, C6) features of the whole frame from block 4's maps."""
        out: Tensor = self.inception2(self.inception1(maps)).mean(dim=(2, 3))
        return out

    def answers(self, features: Tensor, sex: Tensor) -> Tensor:
        """Return (B, 79) logits from the features and the recorded sex."""
        age = self.block6(torch.cat([features, self.sex_embedding(one_hot(sex, features))], dim=1))
        return torch.cat([age, self.block5(features)], dim=1)

    def heads(self, maps: Tensor, sex: Tensor) -> Tensor:
        """Return (B, 79) logits from block 4's maps and the recorded sex."""
        return self.answers(self.features(maps), sex)

    def forward(self, x: Tensor, sex: Tensor) -> Tensor:
        """Return (B, 79) logits."""
        return self.heads(self.maps(x), sex)


def expected_months(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and SD, in months, of the softmax over the age classes.

    Parameters
    ----------
    logits : Tensor
        (B, 79) or (B, 77); columns after the 77th are ignored.
    """
    probability = logits[:, :AGE_CLASSES].float().softmax(dim=1)
    months = torch.arange(AGE_CLASSES, device=logits.device) * MONTHS_PER_CLASS
    mean = (probability * months).sum(dim=1)
    variance = (probability * (months - mean[:, None]) ** 2).sum(dim=1)
    return mean, variance.sqrt()


def argmax_months(logits: Tensor) -> Tensor:
    """Return the paper's decoding: the months of the most probable class."""
    return logits[:, :AGE_CLASSES].argmax(dim=1) * MONTHS_PER_CLASS
