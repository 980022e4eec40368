"""Training learns, and a killed run ends with the very bits of one that was not."""

from __future__ import annotations

import csv
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

from models.cli import main
from models.tjnet.network import AGE_CLASSES, expected_months
from models.tjnet.train import (
    EpochResult,
    Split,
    Stage,
    TrainConfig,
    Training,
    Variant,
    draw_order,
    learning_rate,
    load_split,
    loss_of,
    predict_split,
    read_checkpoint,
    train,
    work_share,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CPU = torch.device("cpu")
PROJECT = Path(__file__).resolve().parents[2]


def load(splits: tuple[Split, Split]) -> Callable[[int], tuple[Split, Split]]:
    """Return what gives the splits at a size: only the one they have."""

    def of_size(size_px: int) -> tuple[Split, Split]:
        assert splits[0].inputs.shape[-1] == size_px
        return splits

    return of_size


@pytest.fixture(scope="module")
def uninterrupted(
    config: TrainConfig, splits: tuple[Split, Split], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the folder of a run that nobody disturbed."""
    out = tmp_path_factory.mktemp("uninterrupted")
    list(train(config, load(splits), out, resume=False))
    return out


def same(first: object, second: object) -> bool:
    """Return whether two nested values are equal to the last bit."""
    if isinstance(first, torch.Tensor):
        return isinstance(second, torch.Tensor) and torch.equal(first, second)
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(same, first, second))
    return bool(first == second)


def outcome(out: Path) -> dict[str, Any]:
    """Return all that a run leaves, without the seconds that it took."""
    state = read_checkpoint(out / "checkpoint.pt", CPU)
    for row in state["curve"]:
        del row["seconds"]
    return {**state, "best": read_checkpoint(out / "best.pt", CPU)}


def test_the_loss_falls(config: TrainConfig, splits: tuple[Split, Split], tmp_path: Path) -> None:
    run = Training(config, tmp_path, CPU)
    losses = [run.train_step(splits[0], torch.arange(16), steps=40) for _ in range(40)]
    assert sum(losses[-3:]) < 0.9 * sum(losses[:3])


def test_a_run_leaves_checkpoint_log_and_best(
    uninterrupted: Path, config: TrainConfig, splits: tuple[Split, Split]
) -> None:
    state = read_checkpoint(uninterrupted / "checkpoint.pt", CPU)
    assert state["step"] == 8
    assert state["config"] == asdict(config)
    with (uninterrupted / "log.csv").open(newline="", encoding="utf-8") as file:
        log = list(csv.DictReader(file))
    assert [row["epoch"] for row in log] == ["1", "2"]
    best = min(state["curve"], key=lambda row: float(row["val_mad_months"]))
    assert (
        f"{best['val_mad_months']:.4f}" == f"{float(log[best['epoch'] - 1]['val_mad_months']):.4f}"
    )
    network = Training(config, uninterrupted, CPU).averaged()
    network.load_state_dict(read_checkpoint(uninterrupted / "best.pt", CPU))
    months = torch.arange(AGE_CLASSES) * 3.0
    expected = (predict_split(network, splits[1])[:, :AGE_CLASSES].softmax(1) * months).sum(1)
    mad = (expected - splits[1].months).abs().mean().item()
    assert mad == pytest.approx(best["val_mad_months"], abs=1e-3)


@pytest.mark.parametrize("lines", [1, 3, 6])
def test_a_resumed_run_ends_with_the_same_bits(
    lines: int,
    uninterrupted: Path,
    config: TrainConfig,
    splits: tuple[Split, Split],
    tmp_path: Path,
) -> None:
    interrupted: Iterator[EpochResult | str] = train(config, load(splits), tmp_path, resume=False)
    for _ in range(lines):
        next(interrupted)
    del interrupted
    # Four steps an epoch, and one line each: the last step's line is the epoch's.
    assert read_checkpoint(tmp_path / "checkpoint.pt", CPU)["step"] == lines
    torch.manual_seed(99)  # whatever the other process did with the global generator
    list(train(config, load(splits), tmp_path, resume=True))
    assert same(outcome(tmp_path), outcome(uninterrupted))


def test_a_run_killed_by_the_system_ends_with_the_same_bits(
    tiny_config: Path, tiny_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "--config", str(tiny_config), "--data", str(tiny_data), "--device", "cpu"]
    words += ["--cache", str(tmp_path / "cache"), "--name", "tiny"]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    command = [sys.executable, "-m", "models", *words, "--out", str(killed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT) as process:
        assert process.stdout is not None
        lines = iter(process.stdout)
        assert any(line.startswith("epoch 1/2 3/8 ") for line in lines)
        process.kill()
    assert process.returncode == -9
    assert 3 <= read_checkpoint(killed / "checkpoint.pt", CPU)["step"] < 16
    assert main([*words, "--out", str(killed), "--resume"]) == 0
    assert main([*words, "--out", str(whole)]) == 0
    assert same(outcome(killed), outcome(whole))
    weights = [(out / "tiny.safetensors").read_bytes() for out in (killed, whole)]
    assert weights[0] == weights[1]
    assert "tiny.safetensors: val MAD" in capsys.readouterr().out


def test_stages_grow_the_frames_and_the_last_decides_the_best(
    config: TrainConfig, tiny_data: Path, tmp_path: Path
) -> None:
    labels = tiny_data / "labels.csv"
    asked = []

    def of_size(size_px: int) -> tuple[Split, Split]:
        asked.append(size_px)
        train_split, val_split = (
            load_split(tiny_data, labels, name, size_px) for name in ("train", "val")
        )
        return train_split, val_split

    growing = replace(config, stages=(Stage(24, 2), Stage(32, 1)))
    steps = list(train(growing, of_size, tmp_path, resume=False))
    results = [step for step in steps if isinstance(step, EpochResult)]
    assert asked == [24, 32]
    assert [result.size_px for result in results] == [24, 24, 32]
    network = Training(growing, tmp_path, CPU).averaged()
    network.load_state_dict(read_checkpoint(tmp_path / "best.pt", CPU))
    _, val_split = of_size(32)
    months = expected_months(predict_split(network, val_split))[0]
    mad = (months - val_split.months).abs().mean().item()
    assert mad == pytest.approx(results[-1].val_mad_months, abs=1e-3)


def test_the_share_of_the_work_follows_the_pixels(config: TrainConfig) -> None:
    growing = replace(config, stages=(Stage(16, 4), Stage(32, 1)))
    # Four epochs of a quarter of the pixels cost what the last one costs.
    shares = [work_share(growing, epochs) for epochs in (0, 2, 4, 4.5, 5)]
    assert shares == pytest.approx([0, 0.25, 0.5, 0.75, 1])


def test_each_step_tells_how_much_is_done(
    config: TrainConfig, splits: tuple[Split, Split], tmp_path: Path
) -> None:
    told: list[float] = []
    list(train(config, load(splits), tmp_path, resume=False, on_step=told.append))
    assert told == pytest.approx([step / 8 for step in range(1, 9)])


def test_a_checkpoint_holds_the_loss_as_a_number(
    config: TrainConfig, splits: tuple[Split, Split], tmp_path: Path
) -> None:
    next(train(config, load(splits), tmp_path, resume=False))
    run = Training(config, tmp_path, CPU)
    run.resume()
    stored = read_checkpoint(run.checkpoint, CPU)["loss_sum"]
    assert isinstance(stored, float)
    assert run.loss_sum.item() == stored > 0


def test_a_batch_of_unknown_sex_alone_has_a_loss(config: TrainConfig) -> None:
    logits = torch.randn(2, 79, generator=torch.Generator().manual_seed(1))
    months, unknown = torch.tensor([10.0, 50.0]), torch.tensor([2, 2])
    without = replace(config, network=replace(config.network, sex_task=False))
    loss = loss_of(logits, unknown, months, config)
    assert loss.item() == pytest.approx(loss_of(logits, unknown, months, without).item())


def test_a_stage_may_augment_less(
    config: TrainConfig, splits: tuple[Split, Split], tmp_path: Path
) -> None:
    whole, calm = Stage(32, 1), Stage(32, 1, augment=0.0)
    states = []
    for name, stages in (("whole", (whole, whole)), ("calm", (whole, calm))):
        list(train(replace(config, stages=stages), load(splits), tmp_path / name, resume=False))
        states.append(read_checkpoint(tmp_path / name / "checkpoint.pt", CPU))
    losses = [[row["loss"] for row in state["curve"]] for state in states]
    assert losses[0][0] == losses[1][0]
    assert losses[0][1] != losses[1][1]


def test_a_run_can_start_from_weights(
    config: TrainConfig, splits: tuple[Split, Split], uninterrupted: Path, tmp_path: Path
) -> None:
    start = read_checkpoint(uninterrupted / "best.pt", CPU)
    run = Training(config, tmp_path, CPU, Variant(start=start))
    assert same(dict(run.network.state_dict()), start)
    assert same(run.average, start)
    wider = replace(config, network=replace(config.network, width=0.3))
    with pytest.raises(ValueError, match="another shape"):
        next(train(wider, load(splits), tmp_path, resume=False, variant=Variant(start=start)))


def test_another_config_is_not_resumed(
    uninterrupted: Path, config: TrainConfig, splits: tuple[Split, Split]
) -> None:
    with pytest.raises(ValueError, match="another config"):
        list(train(replace(config, seed=8), load(splits), uninterrupted, resume=True))


def test_a_damaged_checkpoint_is_not_resumed(
    config: TrainConfig, splits: tuple[Split, Split], tmp_path: Path
) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"half of it")
    with pytest.raises(ValueError, match="no checkpoint"):
        list(train(config, load(splits), tmp_path, resume=True))


def test_too_few_images_for_a_batch_are_refused(
    config: TrainConfig, splits: tuple[Split, Split], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="32 images do not fill one batch of 33"):
        list(train(replace(config, batch_size=33), load(splits), tmp_path, resume=False))


def test_the_sex_task_can_be_left_out(config: TrainConfig) -> None:
    logits = torch.randn(4, 79, generator=torch.Generator().manual_seed(1), requires_grad=True)
    sex, months = torch.tensor([0, 1, 1, 0]), torch.tensor([10.0, 50.0, 100.0, 200.0])
    without = replace(config, network=replace(config.network, sex_task=False))
    (with_task,) = torch.autograd.grad(loss_of(logits, sex, months, config), logits)
    (age_only,) = torch.autograd.grad(loss_of(logits, sex, months, without), logits)
    assert with_task[:, AGE_CLASSES:].abs().sum() > 0
    assert age_only[:, AGE_CLASSES:].abs().sum() == 0
    assert torch.allclose(with_task[:, :AGE_CLASSES], age_only[:, :AGE_CLASSES])


def test_an_unknown_sex_teaches_no_sex(config: TrainConfig) -> None:
    logits = torch.randn(2, 79, generator=torch.Generator().manual_seed(1), requires_grad=True)
    months = torch.tensor([10.0, 50.0])
    (gradient,) = torch.autograd.grad(loss_of(logits, torch.tensor([2, 0]), months, config), logits)
    assert gradient[0, AGE_CLASSES:].abs().sum() == 0
    assert gradient[1, AGE_CLASSES:].abs().sum() > 0


def test_the_age_loss_is_least_at_the_reading(config: TrainConfig) -> None:
    centres = torch.arange(AGE_CLASSES) * 3.0
    sex = torch.tensor([2])

    def loss(months: float) -> float:
        logits = torch.zeros(1, 79)
        logits[0, :AGE_CLASSES] = -((centres - months) ** 2) / 72
        return loss_of(logits, sex, torch.tensor([90.0]), config).item()

    assert loss(90) < min(loss(80), loss(100))


def test_the_rate_rises_then_falls_to_a_hundredth(config: TrainConfig) -> None:
    rates = [learning_rate(step, 100, config) for step in range(101)]
    assert rates[15] == max(rates) == config.learning_rate
    assert rates[:16] == sorted(rates[:16])
    assert rates[15:] == sorted(rates[15:], reverse=True)
    assert rates[-1] == pytest.approx(config.learning_rate / 100)


def test_rarer_ages_are_drawn_more_often(config: TrainConfig) -> None:
    months = torch.cat([torch.full((1900,), 150.0), torch.full((100,), 20.0)])
    split = Split(torch.zeros(2000, 1, 1), torch.zeros(2000, dtype=torch.long), months)
    order = draw_order(split, config, epoch=0)
    assert torch.equal(order, draw_order(split, config, epoch=0))
    assert not torch.equal(order, draw_order(split, config, epoch=1))
    # 100 ** 0.6 of 100 ** 0.6 + 1900 ** 0.6 is 0.146, against 0.05 unbalanced.
    assert (order >= 1900).float().mean() == pytest.approx(0.146, abs=0.03)


def test_the_shipped_config_is_readable() -> None:
    folder = PROJECT / "models" / "tjnet" / "configs"
    configs = [TrainConfig.read(path) for path in sorted(folder.glob("*.yaml"))]
    assert configs
    assert all(config.network.sex_task for config in configs)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("network: {width: 0.5}\nepoch: 3\nstages: [{size_px: 299, epochs: 1}]\n", "epoch"),
        (
            "network: {}\nbatch_size: twelve\nstages: [{size_px: 299, epochs: 1}]\n",
            "batch_size must be of type int",
        ),
        (
            "network: {width: wide}\nstages: [{size_px: 299, epochs: 1}]\n",
            "width must be of type float",
        ),
        ("network: {cbam: 1}\nstages: [{size_px: 299, epochs: 1}]\n", "cbam must be of type bool"),
        (
            "network: {width: true}\nstages: [{size_px: 299, epochs: 1}]\n",
            "width must be of type float",
        ),
        ("network: {}\naugment: {spin: 3}\nstages: [{size_px: 299, epochs: 1}]\n", "spin"),
        ("epochs: 3\n", "network"),
        ("network: {}\n", "stages"),
        ("network: {}\nstages: []\n", "last of the stages"),
        ("network: {}\nstages: [{size_px: 128, epochs: 1}]\n", "last of the stages"),
        ("network: {}\nstages: [{size_px: 299}]\n", "epochs"),
        ("network: {}\nstages: [{size_px: 299, epochs: 0.5}]\n", "epochs must be of type int"),
        ("", "config.yaml"),
        ("network: [", "config.yaml"),
    ],
)
def test_a_bad_config_says_which_key(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=reason):
        TrainConfig.read(path)


def test_a_split_without_pictures_is_refused(tiny_data: Path) -> None:
    with pytest.raises(ValueError, match="no picture of split 'test'"):
        load_split(tiny_data, tiny_data / "labels.csv", "test", 32)
