"""TJ-Net beside its ablations and other networks, at an equal budget: one config, one harness."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from models.baselines import make_efficientnet_lite0, make_resnet50
from models.tjnet.boxes import Box, overlap, summarise_overlaps
from models.tjnet.card import best_row, measure, read_run
from models.tjnet.heatmap import as_picture, fine, gradcam
from models.tjnet.network import SEX_INPUTS, TJNet, expected_months
from models.tjnet.train import predict_split
from models.tjnet.weights import rounded_state

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    from models.tjnet.train import MakeNetwork, Split, TrainConfig


@dataclass(frozen=True, slots=True)
class Contender:
    """A network of the comparison.

    Attributes
    ----------
    name : str
        Of its folder and its row.
    what : str
        In words.
    make_network : callable or None
        Makes it from the network's config; None where it cannot be had.
    switched_off : str
        The switch of the config that an ablation turns off.
    why_not : str
        Why it cannot be had.
    """

    name: str
    what: str
    make_network: MakeNetwork | None = TJNet
    switched_off: str = ""
    why_not: str = ""

    def config(self, base: TrainConfig) -> TrainConfig:
        """Return the config that it is trained under: the common one, less its switch."""
        if not self.switched_off:
            return base
        return replace(base, network=replace(base.network, **{self.switched_off: False}))


NOT_TO_BE_HAD = "needs torchvision, which is no dependency"
CONTENDERS = (
    Contender("tjnet", "whole"),
    Contender("no-cbam", "without attention", switched_off="cbam"),
    Contender("no-shortcuts", "without the IncRes shortcuts", switched_off="shortcuts"),
    Contender("no-sex-task", "without the sex task", switched_off="sex_task"),
    Contender("resnet50", "MONAI's ResNet50, the paper's baseline", make_resnet50),
    Contender("efficientnet-lite0", "from ImageNet weights", make_efficientnet_lite0),
    Contender("vgg16", "a baseline of the paper", None, why_not=NOT_TO_BE_HAD),
    Contender("inception-v3", "a baseline of the paper", None, why_not=NOT_TO_BE_HAD),
)
REFERENCE = CONTENDERS[0].name


def choose(names: Sequence[str] | None) -> list[Contender]:
    """Return the contenders of these names, in the table's order; all of them for None.

    Raises
    ------
    ValueError
        If there is no such contender.
    """
    known = {contender.name: contender for contender in CONTENDERS}
    for name in names or ():
        if name not in known:
            msg = f"no contender is called {name!r}: {', '.join(known)}"
            raise ValueError(msg)
    return [contender for contender in CONTENDERS if names is None or contender.name in names]


def finished(folder: Path, config: TrainConfig) -> bool:
    """Return whether a run's folder holds every epoch of this very config."""
    try:
        run = read_run(folder)
    except FileNotFoundError:
        return False
    return run.config == asdict(config) and len(run.curve) == config.epochs


@dataclass(frozen=True, slots=True)
class Result:
    """What a trained contender reached on val.

    Attributes
    ----------
    summary : dict
        Errors with their intervals, the run's length, and the shares in boxes if measured.
    error_months : ndarray
        (N,) absolute errors on val, for differences image by image.
    """

    summary: dict[str, Any]
    error_months: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Boxed:
    """A picture with boxes: (S, S) bytes as the network takes them, the recorded sex, the boxes."""

    levels: Tensor
    sex: str
    boxes: Sequence[Box]


def score(
    contender: Contender,
    folder: Path,
    val_split: Split,
    boxed: Sequence[Boxed] = (),
) -> Result:
    """Return the result of the best weights in a run's folder, rounded as weights are stored.

    Raises
    ------
    FileNotFoundError
        If no epoch has ended in the folder.
    ValueError
        If val is too small to fit intervals, or the contender cannot be had.
    """
    if contender.make_network is None:
        msg = f"{contender.name}: {contender.why_not}"
        raise ValueError(msg)
    run = read_run(folder)
    network = contender.make_network(run.network_config)
    network.load_state_dict(rounded_state(run.state))
    network = network.to(val_split.inputs.device).eval()
    measured, *_ = measure(network, val_split)
    if not run.network_config.sex_task:
        measured["sex_accuracy"] = None  # that of a head which was never trained
    months = expected_months(predict_split(network, val_split))[0]
    summary = {
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "epochs": len(run.curve),
        "best_epoch": best_row(run.curve)["epoch"],
        "train_seconds": round(sum(row["seconds"] for row in run.curve), 1),
        **measured,
        "explain": _shares(network, boxed) if isinstance(network, TJNet) and boxed else None,
    }
    return Result(summary, (months - val_split.months).abs().double().cpu().numpy())


def _shares(network: TJNet, boxed: Sequence[Boxed]) -> dict[str, Any]:
    """Return ``explain``'s figures of a network: block 4's heatmap, and under ``fine`` the other.

    They are measured on the network's own squashed frames, not on the pictures' pixels.
    """
    for parameter in network.parameters():
        parameter.requires_grad = False
    device = next(network.parameters()).device
    found: dict[str, list[Any]] = {"gradcam": [], "fine": []}
    for picture in boxed:
        x = picture.levels[None, None].to(device).float() / 255.0
        sex = torch.tensor([SEX_INPUTS.index(picture.sex)], device=device)
        with torch.no_grad():
            early = network.early(x)
            maps = network.late(early)
        heats = {"gradcam": gradcam(network, maps, sex)[1], "fine": fine(network, early, sex)[1]}
        rows, columns = picture.levels.shape
        for method, heat in heats.items():
            found[method].append(overlap(as_picture(heat[0]), picture.boxes, (rows, columns)))
    return {**summarise_overlaps(found["gradcam"]), "fine": summarise_overlaps(found["fine"])}
