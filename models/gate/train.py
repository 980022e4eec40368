"""The gate's training: a fixed number of steps, the same on every run of a seed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from models.gate.examples import Examples, Sources, draw_examples
from models.gate.network import HAND, INVERTED, KINDS, GateConfig, GateNetwork
from models.tjnet.pace import pull_average, rate_share

if TYPE_CHECKING:
    from collections.abc import Callable

FEWEST_HANDS = 2


@dataclass(frozen=True, slots=True)
class GateTraining:
    """One training of the gate.

    Attributes
    ----------
    network : GateConfig
        The network's shape.
    steps, more_steps : int
        Of the rehearsal, which does not see what is held out; and of the gate that ships, which
        goes on from there with everything.
    batch_size : int
        Examples a step.
    learning_rate, weight_decay : float
        Of AdamW; the rate rises over a tenth of the steps and falls by half a cosine. What goes
        on does so at a third of the rate.
    average_decay : float
        Of the averaged weights, which are kept.
    seed : int
        Decides everything.
    """

    network: GateConfig = field(default_factory=GateConfig)
    steps: int = 3000
    more_steps: int = 500
    batch_size: int = 96
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    average_decay: float = 0.99
    seed: int = 0


def train_gate(
    config: GateTraining,
    sources: Sources,
    progress: Callable[[int, float], None],
    start: GateNetwork | None = None,
) -> GateNetwork:
    """Return a trained network in evaluation mode.

    Parameters
    ----------
    config : GateTraining
        The run.
    sources : Sources
        Hands, and pictures without one.
    progress : callable
        Is told the step and its loss.
    start : GateNetwork, optional
        A network to go on from, for ``more_steps``; it stays as it is.

    Raises
    ------
    ValueError
        If there are not two hands to show beside each other.
    """
    if len(sources.hands) < FEWEST_HANDS:
        msg = f"{len(sources.hands)} hands are too few to train a gate"
        raise ValueError(msg)
    torch.manual_seed(config.seed)
    network = GateNetwork(config.network)
    average = GateNetwork(config.network)
    if start is not None:
        network.load_state_dict(start.state_dict())
    average.load_state_dict(network.state_dict())
    steps = config.steps if start is None else config.more_steps
    highest_rate = config.learning_rate if start is None else config.learning_rate / 3
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=highest_rate, weight_decay=config.weight_decay
    )
    generator = torch.Generator().manual_seed(config.seed + (start is not None))
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = highest_rate * rate_share(step, steps, max(1, steps // 10))
        rows = torch.multinomial(
            sources.weight, config.batch_size, replacement=True, generator=generator
        )
        batch = draw_examples(sources, rows, config.network.input_size_px, generator)
        loss = loss_of(network.train()(batch.x), batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        pull_average(average.state_dict(), network.state_dict(), step, config.average_decay)
        progress(step + 1, loss.item())
    return average.eval()


def loss_of(logits: Tensor, batch: Examples) -> Tensor:
    """Return the loss of a batch: what it is; for whole hands also how they lie, and the greys."""
    kind = F.cross_entropy(logits[:, : len(KINDS)], batch.kind)
    hand = batch.kind == HAND
    turn = F.cross_entropy(logits[hand, len(KINDS) : INVERTED], batch.turn[hand])
    grey = F.binary_cross_entropy_with_logits(logits[hand, INVERTED], batch.inverted[hand].float())
    return kind + turn + grey
