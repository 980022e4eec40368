"""TensorBoard's events hold what the log holds, also of a run that was resumed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from models.tjnet.events import Events

if TYPE_CHECKING:
    from pathlib import Path

CURVE: list[dict[str, float]] = [
    {"epoch": 1, "loss": 7.0, "val_mad_months": 30.5},
    {"epoch": 2, "loss": 6.5, "val_mad_months": 28.0},
    {"epoch": 3, "loss": 6.0, "val_mad_months": 25.5},
]


def test_without_tensorboard_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.tjnet.events.find_spec", lambda _: None)
    events = Events(tmp_path)
    events.write(CURVE)
    events.close()
    assert not events.folder.exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # tensorboard's own
def test_every_epoch_is_there_once(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed: pip install it")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    first = Events(tmp_path)
    first.write(CURVE[:1])
    first.write(CURVE[:2])
    first.close()
    resumed = Events(tmp_path)
    resumed.write(CURVE)
    resumed.close()
    found = EventAccumulator(str(resumed.folder))
    found.Reload()
    assert set(found.Tags()["scalars"]) == {"loss", "val_mad_months"}
    scalars = found.Scalars("val_mad_months")
    assert [(one.step, one.value) for one in scalars] == [(1, 30.5), (2, 28.0), (3, 25.5)]
