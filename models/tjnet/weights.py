"""Weights on disk: plain tensors in safetensors, and a JSON card beside them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file, save

from models.tjnet.network import TJNet, TJNetConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

T = TypeVar("T")

SHIPPED = Path(__file__).parent / "weights"
DEFAULT = "tjnet-gpu"


class WeightsError(Exception):
    """The weights or their card are absent, damaged, or do not belong together."""


@dataclass(frozen=True, slots=True)
class Weights:
    """A network with the card that says what it is.

    Attributes
    ----------
    network : TJNet
        In evaluation mode, on the CPU.
    card : dict
        What the JSON beside the weights holds.
    sha256 : str
        Of the safetensors file; a report names it.
    """

    network: TJNet
    card: dict[str, Any]
    sha256: str

    @property
    def name(self) -> str:
        """Return the weights' name."""
        return str(self.card["name"])

    @property
    def version(self) -> str:
        """Return the name with the first twelve digits of the hash, as reports show it."""
        return f"{self.name}-{self.sha256[:12]}"


def resolve(weights: str | Path) -> Path:
    """Return the safetensors file that ``default``, a shipped name, or a path stands for."""
    if str(weights) == "default":
        weights = DEFAULT
    path = Path(weights)
    return path if path.suffix == ".safetensors" else SHIPPED / f"{weights}.safetensors"


def load_weights(weights: str | Path = "default") -> Weights:
    """Load a network by path, by shipped name, or the default one.

    Raises
    ------
    WeightsError
        If the file or its card is missing, unreadable, or the hash in the card differs.
    """

    def make(card: dict[str, Any], state: dict[str, Tensor]) -> Weights:
        network = TJNet(TJNetConfig(**card["network"]))
        network.load_state_dict(state)
        return Weights(network=network.eval(), card=card, sha256=card["sha256"])

    return read_with_card(resolve(weights), make)


def read_with_card(path: Path, make: Callable[[dict[str, Any], dict[str, Tensor]], T]) -> T:
    """Return what is made of a safetensors file's card and tensors.

    Raises
    ------
    WeightsError
        If the file or its card is missing or unreadable, the hash in the card differs, or the
        two do not fit what is made of them.
    """
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        card = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        if card["sha256"] != digest:
            msg = f"{path}: the card speaks of other weights (sha256 {card['sha256'][:12]}…)"
            raise WeightsError(msg)
        return make(card, load_file(path))
    except (OSError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        msg = f"{path}: cannot be loaded: {type(error).__name__}: {error}"
        raise WeightsError(msg) from error


def rounded(tensor: Tensor) -> Tensor:
    """Return a tensor as it is stored: kernels and matrices in half precision.

    Biases and batch statistics are few, and the statistics can exceed what a half holds.
    """
    detached = tensor.detach()
    return detached.half() if detached.is_floating_point() and detached.ndim > 1 else detached


def rounded_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a network's state as it is stored, see `rounded`.

    Without the counters of the batch normalisations, which nothing reads: torch begins them at 0
    where a state has none.
    """
    return {
        name: rounded(tensor)
        for name, tensor in state.items()
        if not name.endswith("num_batches_tracked")
    }


def save_weights(path: Path, state: dict[str, Tensor], card: dict[str, Any]) -> None:
    """Write the tensors and their card; the card gets the file's hash.

    Parameters
    ----------
    path : Path
        The safetensors file; the card goes to the same name with ``.json``.
    state : dict of Tensor
        The network's state, any float type; written as contiguous tensors, see `rounded`.
    card : dict
        At least ``name`` and ``network``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: t.cpu().contiguous() for name, t in rounded_state(state).items()}
    # Not save_file: its files can be read by their owner alone, whatever the umask.
    content = save(tensors)
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    text = json.dumps({**card, "sha256": digest}, indent=2, ensure_ascii=False)
    path.with_suffix(".json").write_text(text + "\n", encoding="utf-8")
