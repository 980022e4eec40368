"""Training data as the options name them, and the weights made from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from models.commands.output import DONE, say, tell
from models.tjnet.card import SPLIT_RULE, DataTerms, Origin, make_card, name_data, read_run
from models.tjnet.dataset import data_hash
from models.tjnet.train import Split, load_split
from models.tjnet.weights import save_weights

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping
    from pathlib import Path

LARGEST_SHIPPED_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Source:
    """Training data as the options name them.

    Attributes
    ----------
    data, labels, cache : Path
        Pictures, their labels, and the folder for decoded pictures.
    data_name : str or None
        What the card calls data that are not known by their hash.
    terms : str or None
        Their terms, where the caller knows them.
    split_rule : str
        How the labels were divided.
    """

    data: Path
    labels: Path
    cache: Path
    data_name: str | None
    terms: str | None = None
    split_rule: str = SPLIT_RULE

    @classmethod
    def of(cls, args: argparse.Namespace) -> Source:
        """Return the source; the labels lie beside the data unless said otherwise."""
        folder = args.data if args.data.is_dir() else args.data.parent
        return cls(args.data, args.labels or folder / "labels.csv", args.cache, args.data_name)

    def split(self, name: str, size_px: int, device: torch.device) -> Split:
        """Return one split on a device."""
        return load_split(self.data, self.labels, name, size_px, self.cache).to(device)

    def origin(self, n_train: int, n_val: int) -> Origin:
        """Return what a card says of the data."""
        digest = data_hash(self.data, self.labels)
        named = name_data(digest, self.data_name)
        terms = named if self.terms is None else DataTerms(named.name, self.terms)
        return Origin(digest, n_train, n_val, terms, self.split_rule)


def write_weights(  # noqa: PLR0913 - what a card is made of
    folder: Path,
    source: Source,
    name: str,
    to: Path,
    device: torch.device,
    *,
    more: Mapping[str, Any] | None = None,
) -> int:
    """Measure a run's best weights on val and write them with their card, and ``more`` on it."""
    trained = read_run(folder)
    size_px = trained.network_config.input_size_px
    val_split = source.split("val", size_px, device)
    n_train = len(source.split("train", size_px, torch.device("cpu")))
    origin = source.origin(n_train, len(val_split))
    card = {**make_card(name, trained, origin, val_split), **(more or {})}
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
