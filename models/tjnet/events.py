"""A run's curve as TensorBoard events, where the tensorboard package is installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class Events:
    """Writes what the curve holds into ``out/events``; does nothing without tensorboard.

    The first call of a process writes the whole curve, so that a resumed run has no gap, and
    lets TensorBoard forget what an earlier process wrote.
    """

    def __init__(self, out: Path) -> None:
        self.folder = out / "events"
        self._writer: Any = None
        self._written = 0

    def write(self, curve: Sequence[Mapping[str, float]]) -> None:
        """Write the rows that are not written yet, each under its epoch."""
        if not find_spec("tensorboard"):
            return
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - optional

            self._writer = SummaryWriter(str(self.folder), purge_step=0)
        for row in curve[self._written :]:
            for name, value in row.items():
                if name != "epoch":
                    self._writer.add_scalar(name, value, int(row["epoch"]))
        self._written = len(curve)
        self._writer.flush()

    def close(self) -> None:
        """End the writer's thread."""
        if self._writer is not None:
            self._writer.close()
