"""The training loop: read, step, evaluate, checkpoint, log; a killed run goes on where it was."""

from __future__ import annotations

import csv
import math
import pickle
import time
import zipfile
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, get_origin, get_type_hints

import torch
import yaml
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from models.tjnet.augment import AugmentConfig, augment
from models.tjnet.backend import batched_logits
from models.tjnet.dataset import Label, load_inputs, read_labels
from models.tjnet.events import Events
from models.tjnet.network import (
    AGE_CLASSES,
    MONTHS_PER_CLASS,
    SEX_CLASSES,
    SEX_INPUTS,
    TJNet,
    TJNetConfig,
    expected_months,
)
from models.tjnet.pace import pull_average, rate_share

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt


MakeNetwork: TypeAlias = "Callable[[TJNetConfig], nn.Module]"
"""Makes a network whose ``forward(x, sex)`` returns (B, 79) logits, as `TJNet`'s does."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Some epochs on frames of one size: early epochs need less of it than the last.

    Attributes
    ----------
    size_px : int
        Side of the square frames.
    epochs : int
        How many.
    augment : float
        Share of the augmentation's strengths: the last epochs may see frames nearly as they come.
    """

    size_px: int
    epochs: int
    augment: float = 1.0


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """One training run; see configs/cpu.yaml for what each value means."""

    network: TJNetConfig
    stages: tuple[Stage, ...]
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    batch_size: int = 32
    learning_rate: float = 1.5e-3
    weight_decay: float = 1e-4
    warmup_share: float = 0.15
    label_sd_months: float = 6.0
    expectation_weight: float = 0.05
    sex_weight: float = 0.3
    sex_unknown_share: float = 0.2
    age_balance: float = 0.4
    ema_decay: float = 0.998
    threads: int = 0
    precision: str = "float32"
    checkpoint_every_seconds: float = 120
    seed: int = 0

    @classmethod
    def read(cls, path: Path) -> TrainConfig:
        """Read a YAML file.

        Raises
        ------
        ValueError
            If a key is unknown or a value has the wrong form; the message names it.
        """
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8"))
            network = TJNetConfig(**values.pop("network"))
            augmented = AugmentConfig(**values.pop("augment", {}))
            stages = tuple(Stage(**stage) for stage in values.pop("stages"))
            config = cls(network=network, stages=stages, augment=augmented, **values)
            for part in (network, augmented, *stages, config):
                _check_types(part)
        except (TypeError, AttributeError, KeyError, yaml.YAMLError) as error:
            msg = f"{path}: {error}"
            raise ValueError(msg) from error
        if not stages or stages[-1].size_px != network.input_size_px:
            msg = f"{path}: the last of the stages must have the network's input_size_px"
            raise ValueError(msg)
        return config

    @property
    def epochs(self) -> int:
        """Return the epochs of all stages."""
        return sum(stage.epochs for stage in self.stages)

    def stage(self, epoch: int) -> Stage:
        """Return the stage of an epoch, counted from 0."""
        for stage in self.stages:
            if epoch < stage.epochs:
                return stage
            epoch -= stage.epochs
        msg = f"there are {self.epochs} epochs only"
        raise ValueError(msg)


def _check_types(config: object) -> None:
    """Refuse a field that is not of its declared type; an int may stand for a float."""
    for name, hint in get_type_hints(type(config)).items():
        kind = get_origin(hint) or hint
        value = getattr(config, name)
        fits = isinstance(value, (int, float) if kind is float else kind)
        if not fits or (isinstance(value, bool) and kind is not bool):
            msg = f"{name} must be of type {kind.__name__}, not {value!r}"
            raise TypeError(msg)


@dataclass(frozen=True, slots=True)
class Split:
    """One split as tensors: (N, S, S) bytes, (N,) sex index, (N,) months."""

    inputs: Tensor
    sex: Tensor
    months: Tensor

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.months)

    def to(self, device: torch.device) -> Split:
        """Return the split on a device."""
        return Split(self.inputs.to(device), self.sex.to(device), self.months.to(device))


def load_split(
    data: Path, labels: Path, split: str | None, size_px: int, cache: Path | None = None
) -> Split:
    """Return a split of the labels file (None: all), its pictures decoded once, in ``cache``.

    Rows without a picture are left out: part of the data can be trained on.

    Raises
    ------
    ValueError
        If no row of the split has a picture, or the labels cannot be read.
    """
    index, inputs = load_inputs(data, size_px, cache)
    rows = [label for label in read_labels(labels, split) if label.id in index]
    if not rows:
        msg = f"{labels}: no picture of split {split!r} lies in {data}"
        raise ValueError(msg)
    return _to_split(rows, inputs[[index[label.id] for label in rows]])


def _to_split(rows: list[Label], inputs: npt.NDArray[np.uint8]) -> Split:
    sex = torch.tensor([SEX_INPUTS.index(label.sex) for label in rows])
    months = torch.tensor([label.bone_age_months for label in rows], dtype=torch.float32)
    return Split(torch.from_numpy(inputs), sex, months)


def draw_order(split: Split, config: TrainConfig, epoch: int) -> Tensor:
    """Return the epoch's order: with replacement, rarer years of age drawn more often."""
    generator = torch.Generator().manual_seed(config.seed * 1000 + epoch)
    years = (split.months.cpu() / 12).long().clamp(0, 19)
    weight = torch.bincount(years, minlength=20).clamp(min=1).float() ** -config.age_balance
    return torch.multinomial(weight[years], len(split), replacement=True, generator=generator)


def loss_of(logits: Tensor, sex: Tensor, months: Tensor, config: TrainConfig) -> Tensor:
    """Return the joint loss of a batch.

    Cross-entropy of age against a Gaussian over the classes, the L1 of the expectation, and
    the sex cross-entropy; images of unknown sex do not count in the last.
    """
    centres = torch.arange(AGE_CLASSES, device=logits.device) * MONTHS_PER_CLASS
    soft = torch.softmax(-(((centres - months[:, None]) / config.label_sd_months) ** 2) / 2, dim=1)
    age = -(soft * F.log_softmax(logits[:, :AGE_CLASSES], dim=1)).sum(dim=1).mean()
    expectation = (expected_months(logits)[0] - months).abs().mean()
    loss = age + config.expectation_weight * expectation
    if config.network.sex_task:
        # A mask, not a choice of rows: a GPU would have to wait for their number.
        known = sex < SEX_CLASSES
        target = sex.clamp(max=SEX_CLASSES - 1)
        seen = F.cross_entropy(logits[:, AGE_CLASSES:], target, reduction="none") * known
        loss = loss + config.sex_weight * seen.sum() / known.sum().clamp(min=1)
    return loss


def learning_rate(step: int, steps: int, config: TrainConfig) -> float:
    """Return the rate at a step, see `models.tjnet.pace.rate_share`."""
    warmup = max(1, int(steps * config.warmup_share))
    return config.learning_rate * rate_share(step, steps, warmup)


def predict_split(network: nn.Module, split: Split, batch_size: int = 64) -> Tensor:
    """Return (N, 79) logits with the recorded sex."""
    return batched_logits(network.eval(), split.inputs, split.sex, batch_size)


@dataclass(frozen=True, slots=True)
class EpochResult:
    """One row of the log."""

    epoch: int
    size_px: int
    seconds: float
    loss: float
    val_mad_months: float
    val_sex_accuracy: float


def read_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """Return what `Training.save` wrote: plain values and tensors, no code is run.

    Raises
    ------
    ValueError
        If the file is no checkpoint.
    FileNotFoundError
        If there is no such file.
    """
    msg = f"{path} is no checkpoint"
    with path.open("rb") as file:
        if not zipfile.is_zipfile(file):
            raise ValueError(msg)
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, pickle.UnpicklingError) as error:
        raise ValueError(msg) from error
    return state


@dataclass(frozen=True, slots=True)
class Variant:
    """What sets a run apart beside its config. Whoever resumes a run gives the same.

    Attributes
    ----------
    start : mapping of Tensor or None
        A network's state to start from instead of chance.
    frozen_blocks : collection of int
        Blocks, 1 to 4, that stay as they are in ``start``.
    patience_epochs : int or None
        End after so many epochs of the last stage without a better val MAD; never for None.
    compiled : bool
        Compile the network first (torch.compile; needs a C++ compiler, minutes at each size).
    make_network : callable
        Makes the network from its config: another one than TJ-Net to compare with.
    """

    start: Mapping[str, Tensor] | None = None
    frozen_blocks: Collection[int] = ()
    patience_epochs: int | None = None
    compiled: bool = False
    make_network: MakeNetwork = TJNet


PLAIN = Variant()


class Training:
    """A run in its folder: checkpoint, log and the best weights by val MAD.

    Raises
    ------
    ValueError
        If the weights to start from are of another shape than the config's network.
    """

    def __init__(
        self, config: TrainConfig, out: Path, device: torch.device, variant: Variant = PLAIN
    ) -> None:
        self.config, self.out, self.device, self.variant = config, out, device, variant
        torch.manual_seed(config.seed)
        self.network = self._new_network()
        # A kernel for each size of the stages: one for any size is slower at all of them.
        self.forward = (
            torch.compile(self.network, dynamic=False) if variant.compiled else self.network
        )
        if variant.start is not None:
            _start_from(self.network, variant.start)
        self.frozen = [_block(self.network, number) for number in sorted(variant.frozen_blocks)]
        for block in self.frozen:
            block.requires_grad_(requires_grad=False)
        self.average = {name: t.detach().clone() for name, t in self.network.state_dict().items()}
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=device.type == "cuda",
        )
        self.step = 0
        # On the device and in double precision: fetched when it is written, not at each step.
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=device)
        self.curve: list[EpochResult] = []
        self.best: dict[str, Tensor] | None = None
        self.events = Events(out)
        self._saved_step, self._saved_at = -1, time.monotonic()

    @property
    def checkpoint(self) -> Path:
        """Return the path of the run's checkpoint."""
        return self.out / "checkpoint.pt"

    @property
    def is_due(self) -> bool:
        """Return whether the last checkpoint, or the start, is long enough ago for another."""
        return time.monotonic() - self._saved_at > self.config.checkpoint_every_seconds

    def save(self) -> None:
        """Write best weights and checkpoint, so that a kill leaves the old ones or the new ones."""
        if self.best is not None:
            _write_state(self.best, self.out / "best.pt")
            self.best = None
        state = {
            "network": self.network.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "loss_sum": self.loss_sum.item(),
            "curve": [asdict(row) for row in self.curve],
            "config": asdict(self.config),
        }
        _write_state(state, self.checkpoint)
        self._saved_step, self._saved_at = self.step, time.monotonic()

    def save_unsaved(self) -> None:
        """Write what the last checkpoint lacks."""
        if self.step != self._saved_step:
            self.save()

    def resume(self) -> None:
        """Take up the checkpoint, if there is one.

        Raises
        ------
        ValueError
            If the checkpoint cannot be read or was made under another config.
        """
        if not self.checkpoint.exists():
            return
        state = read_checkpoint(self.checkpoint, self.device)
        if state["config"] != asdict(self.config):
            msg = f"{self.checkpoint} was made under another config; choose another --out"
            raise ValueError(msg)
        self.network.load_state_dict(state["network"])
        self.average = state["average"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
        self.loss_sum.fill_(state["loss_sum"])
        self.curve = [EpochResult(**row) for row in state["curve"]]
        self._saved_step = self.step

    def train_step(self, split: Split, rows: Tensor, steps: int) -> Tensor:
        """Make one step on the images ``rows``; all chance depends on seed and step alone.

        Returns
        -------
        Tensor
            The loss, still on the device: reading it would wait for the step.
        """
        config = self.config
        generator = torch.Generator(self.device).manual_seed(config.seed + 7919 * self.step)
        torch.manual_seed(config.seed + 104729 * self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, steps, config)
        rows = rows.to(self.device)
        stage = config.stage(self.step * config.epochs // steps)
        strengths = config.augment.scaled(stage.augment)
        x = augment(split.inputs[rows, None].float() / 255.0, strengths, generator)
        sex = split.sex[rows]
        hidden = (
            torch.rand(len(rows), generator=generator, device=self.device)
            < config.sex_unknown_share
        )
        recorded = torch.where(hidden, len(SEX_INPUTS) - 1, sex)
        self.network.train()
        for block in self.frozen:
            block.eval()
        enabled = config.precision == "bfloat16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=enabled):
            logits = self.forward(x.contiguous(memory_format=torch.channels_last), recorded)
        loss = loss_of(logits.float(), sex, split.months[rows], config)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
        self.optimizer.step()
        pull_average(self.average, self.network.state_dict(), self.step, config.ema_decay)
        self.step += 1
        return loss.detach()

    def averaged(self) -> nn.Module:
        """Return a copy of the network with the averaged weights, in evaluation mode."""
        network = self._new_network()
        network.load_state_dict(self.average)
        return network.eval()

    def _new_network(self) -> nn.Module:
        """Return a network with the weights that torch's seed decides, laid out channels-last."""
        network = self.variant.make_network(self.config.network).to(self.device)
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _write_state(state: Mapping[str, Any], path: Path) -> None:
    """Write a file in one rename."""
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def _block(network: nn.Module, number: int) -> nn.Module:
    """Return block 1 to 4 of the paper."""
    return network.get_submodule(f"block{number}")


def _start_from(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Load a state, or say that it is of another shape."""
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        msg = "the weights to start from are of another shape than the config's network"
        raise ValueError(msg) from error


def train(  # noqa: PLR0913 - what a run consists of
    config: TrainConfig,
    load: Callable[[int], tuple[Split, Split]],
    out: Path,
    *,
    resume: bool,
    variant: Variant = PLAIN,
    on_step: Callable[[float], None] | None = None,
) -> Iterator[EpochResult | str]:
    """Run or go on with a training; yields a line of progress now and then, and each epoch.

    ``out`` gets checkpoint.pt and, with it, best.pt (the averaged weights of the best epoch of
    the stage: epochs at another size do not compare), log.csv, and TensorBoard's events where it is
    installed.

    Parameters
    ----------
    config : TrainConfig
        The run.
    load : callable
        Returns the train and the val split at a side in pixels, on the device to train on.
    out : Path
        The run's folder.
    resume : bool
        Go on with the run in ``out``, if there is one.
    variant : Variant
        What sets the run apart beside its config.
    on_step : callable, optional
        Called after each step with the share of the run's work that is done.

    Raises
    ------
    ValueError
        If the images do not fill one batch, the checkpoint is not of this config, or the
        variant's start is of another shape.
    """
    train_split, val_split = load(config.stage(0).size_px)
    per_epoch = len(train_split) // config.batch_size
    if per_epoch == 0:
        msg = f"{len(train_split)} images do not fill one batch of {config.batch_size}"
        raise ValueError(msg)
    run = Training(config, out, train_split.inputs.device, variant)
    out.mkdir(parents=True, exist_ok=True)
    if resume:
        run.resume()
    try:
        while run.step < per_epoch * config.epochs and not _is_stale(run):
            size_px = config.stage(run.step // per_epoch).size_px
            if train_split.inputs.shape[-1] != size_px:
                train_split, val_split = load(size_px)
            began = time.monotonic()
            yield from _train_epoch(run, train_split, per_epoch, on_step)
            yield _finish_epoch(run, val_split, per_epoch, time.monotonic() - began)
    except GeneratorExit:  # between two steps: the caller wants no more of them
        run.save_unsaved()
        raise
    run.save_unsaved()
    run.events.close()


def _train_epoch(
    run: Training,
    split: Split,
    per_epoch: int,
    on_step: Callable[[float], None] | None,
) -> Iterator[str]:
    """Make an epoch's steps, or what is left of them; a line follows each checkpoint."""
    config = run.config
    epoch, place = divmod(run.step, per_epoch)
    order = draw_order(split, config, epoch).to(run.device)
    for batch in range(place, per_epoch):
        rows = order[batch * config.batch_size : (batch + 1) * config.batch_size]
        run.loss_sum += run.train_step(split, rows, per_epoch * config.epochs)
        if on_step is not None:
            on_step(work_share(config, run.step / per_epoch))
        # Not after the last batch: a run resumed there would never score the epoch.
        if run.is_due and batch + 1 < per_epoch:
            run.save()
            loss = run.loss_sum.item() / (batch + 1)
            yield f"epoch {epoch + 1}/{config.epochs} {batch + 1}/{per_epoch} loss {loss:.3f}"


def work_share(config: TrainConfig, epochs_done: float) -> float:
    """Return the share of a run's work that is done: a step costs as much as it has pixels."""
    done = 0.0
    for stage in config.stages:
        done += min(max(epochs_done, 0.0), stage.epochs) * stage.size_px**2
        epochs_done -= stage.epochs
    return done / sum(stage.epochs * stage.size_px**2 for stage in config.stages)


def _is_stale(run: Training) -> bool:
    """Return whether the last stage's latest epochs brought no better val MAD."""
    patience_epochs = run.variant.patience_epochs
    last_px = run.config.stages[-1].size_px
    stage = [row.val_mad_months for row in run.curve if row.size_px == last_px]
    if patience_epochs is None or not stage:
        return False
    return len(stage) - 1 - stage.index(min(stage)) >= patience_epochs


def _finish_epoch(run: Training, val_split: Split, per_epoch: int, seconds: float) -> EpochResult:
    """Score the averaged weights, keep them if they are the stage's best, write log, checkpoint."""
    network = run.averaged()
    logits = predict_split(network, val_split)
    mad = (expected_months(logits)[0] - val_split.months).abs().mean().item()
    sex = (logits[:, AGE_CLASSES:].argmax(1) == val_split.sex).float().mean().item()
    epoch, size_px = run.step // per_epoch, int(val_split.inputs.shape[-1])
    rivals = [row.val_mad_months for row in run.curve if row.size_px == size_px]
    result = EpochResult(
        epoch, size_px, round(seconds, 1), run.loss_sum.item() / per_epoch, mad, sex
    )
    run.curve.append(result)
    run.loss_sum.zero_()
    if mad < min(rivals, default=math.inf):
        run.best = network.state_dict()
    if run.is_due:
        run.save()
    _write_log(run.out / "log.csv", run.curve)
    run.events.write([asdict(row) for row in run.curve])
    return result


def _write_log(path: Path, curve: list[EpochResult]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(asdict(curve[0])))
        writer.writeheader()
        writer.writerows([_rounded(row) for row in curve])


def _rounded(row: EpochResult) -> dict[str, Any]:
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in asdict(row).items()}
