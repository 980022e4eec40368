"""Training data as the options name them, and the weights made from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from models.commands.output import DONE, say, tell
from models.tjnet.card import Origin, make_card, name_data, read_run
from models.tjnet.dataset import data_hash
from models.tjnet.train import Split, load_split
from models.tjnet.weights import save_weights

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

LARGEST_SHIPPED_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Source:
    """Training data as the options name them."""

    data: Path
    labels: Path
    cache: Path
    data_name: str | None

    @classmethod
    def of(cls, args: argparse.Namespace) -> Source:
        """Return the source; the labels lie beside the data unless said otherwise."""
        folder = args.data if args.data.is_dir() else args.data.parent
        return cls(args.data, args.labels or folder / "labels.csv", args.cache, args.data_name)

    def split(self, name: str, size_px: int, device: torch.device) -> Split:
        """Return one split on a device."""
        return load_split(self.data, self.labels, name, size_px, self.cache).to(device)


def write_weights(folder: Path, source: Source, name: str, to: Path, device: torch.device) -> int:
    """Measure a run's best weights on val and write them with their card."""
    trained = read_run(folder)
    size_px = trained.network_config.input_size_px
    val_split = source.split("val", size_px, device)
    digest = data_hash(source.data, source.labels)
    origin = Origin(
        sha256=digest,
        n_train=len(source.split("train", size_px, torch.device("cpu"))),
        n_val=len(val_split),
        terms=name_data(digest, source.data_name),
    )
    card = make_card(name, trained, origin, val_split)
    path = to / f"{name}.safetensors"
    save_weights(path, trained.state, card)
    measured = card["measured"]
    say(
        f"{path}: val MAD {measured['mad_months']:.2f} months, "
        f"{measured['interval_coverage']:.1%} in the 90 % interval, epoch {card['best_epoch']} "
        f"of {card['epochs_done']}"
    )
    if path.stat().st_size > LARGEST_SHIPPED_BYTES:
        tell(f"{path}: larger than 16 MiB, too large to ship")
    return DONE
