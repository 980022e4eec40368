"""The one door to the network: a picture and the recorded sex in, an `Estimate` out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.estimate import Estimate
from models.tjnet.heatmap import as_picture, check_method, fine, gradcam
from models.tjnet.network import AGE_CLASSES, SEX_INPUTS, expected_months
from models.tjnet.preprocess import to_input
from models.tjnet.spread import Spread
from models.tjnet.views import check_views, view
from models.tjnet.weights import Weights, WeightsError, load_weights

if TYPE_CHECKING:
    from pathlib import Path

LOWEST_MONTHS, HIGHEST_MONTHS = 0.0, 228.0
MINIMUM_SIDE_PX = 128
"""Below this a frame shows no growth plate; refused."""


class UnusablePictureError(Exception):
    """The picture cannot carry an estimate; the message says why, in words for a person."""


def choose_device(device: str) -> torch.device:
    """Return the device for ``auto``, ``cpu`` or ``cuda[:N]``.

    Raises
    ------
    ValueError
        If there is no such device here.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        msg = f"no device is called {device!r}: auto, cpu, cuda or cuda:N"
        raise ValueError(msg) from None
    cards = torch.cuda.device_count()
    if chosen.type not in {"cpu", "cuda"} or (chosen.type == "cuda" and not cards):
        msg = f"device {device!r} is not to be had here"
        raise ValueError(msg)
    if chosen.type == "cuda" and (chosen.index or 0) >= cards:
        msg = f"device {device!r}: there are {cards} GPUs here, counted from 0"
        raise ValueError(msg)
    return chosen


def _spreads(weights: Weights) -> tuple[Spread, Spread]:
    """Return the card's spread for a recorded sex, and that for the "unknown" input."""
    try:
        recorded = weights.card["spread"]
        unknown = recorded.get("unknown_sex", recorded)
        return (
            Spread(float(recorded["sd_factor"]), float(recorded["interval_factor"])),
            Spread(float(unknown["sd_factor"]), float(unknown["interval_factor"])),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        msg = f"the card of {weights.version} has no spread: {error}"
        raise WeightsError(msg) from error


def _refusal(picture: npt.NDArray[np.generic], levels: npt.NDArray[np.uint8]) -> str | None:
    """Return why a picture can carry no estimate, or None."""
    if min(picture.shape) < MINIMUM_SIDE_PX:
        return f"the image is smaller than {MINIMUM_SIDE_PX} pixels on a side"
    if not levels.any():
        return "the image has no contrast"
    return None


class Estimator:
    """Weights on a device, ready to estimate; one a process.

    Parameters
    ----------
    weights : str or Path
        ``default``, a shipped name, or a safetensors file.
    device : str
        ``auto``, ``cpu`` or ``cuda[:N]``.
    views : int
        Views of each picture whose logits are averaged, see `models.tjnet.views`.
    heatmap : str
        ``gradcam`` (block 4's) or ``fine``, see `models.tjnet.heatmap`; no estimate depends on it.

    Raises
    ------
    WeightsError
        If the weights cannot be loaded or their card has no spread.
    ValueError
        If there is no such device, number of views, or method for the heatmap.
    """

    def __init__(
        self,
        weights: str | Path = "default",
        device: str = "auto",
        *,
        views: int = 1,
        heatmap: str = "fine",
    ) -> None:
        check_views(views)
        check_method(heatmap)
        self.views, self.method = views, heatmap
        self.device = choose_device(device)
        self.weights: Weights = load_weights(weights)
        self.spread, self.spread_unknown_sex = _spreads(self.weights)
        self.network = self.weights.network.to(self.device)
        for parameter in self.network.parameters():
            parameter.requires_grad = False

    def estimate(self, picture: npt.NDArray[np.generic], sex: str) -> Estimate:
        """Estimate bone age and sex.

        Parameters
        ----------
        picture : ndarray
            (H, W), bone bright, any real type and range.
        sex : str
            Recorded sex; anything but "M" or "F" is unknown.

        Raises
        ------
        UnusablePictureError
            If the picture is too small or has no contrast.
        ValueError
            If the picture is not two-dimensional, is empty, or is not finite.
        """
        estimate, refusal = self.assess(picture, sex)
        if refusal is not None:
            raise UnusablePictureError(refusal)
        return estimate

    def assess(self, picture: npt.NDArray[np.generic], sex: str) -> tuple[Estimate, str | None]:
        """Return the network's answer, and why it must not be used, or None.

        This measures what the gate keeps back; whoever reports an age calls `estimate`.
        """
        recorded = sex if sex in SEX_INPUTS else "unknown"
        levels = to_input(picture, self.network.config.input_size_px)
        return self._answer(levels, recorded), _refusal(picture, levels)

    def _answer(self, levels: npt.NDArray[np.uint8], recorded: str) -> Estimate:
        """Run the network; the heatmap is that of the picture itself, the first view."""
        pixels = torch.from_numpy(levels)[None, None].to(self.device).float() / 255.0
        with torch.no_grad():
            maps = self.network.maps(view(pixels, self.views))
        logits, heatmap = self._explained(maps[:1], pixels, recorded)
        with torch.no_grad():
            if self.views > 1:
                others = self._logits(maps[1:], recorded)
                logits = torch.cat([logits, others]).mean(dim=0, keepdim=True)
            by_sex = None if recorded != "unknown" else self._by_sex(maps)
        return self._as_estimate(logits, recorded, by_sex, heatmap)

    def _logits(self, maps: Tensor, sex: str) -> Tensor:
        """Return (B, 79) logits from block 4's maps."""
        return self.network.heads(maps, self._index(maps, sex))

    def _index(self, batch: Tensor, sex: str) -> Tensor:
        """Return (B,) the index of a recorded sex for each of a batch."""
        return torch.full((len(batch),), SEX_INPUTS.index(sex), device=self.device)

    def _by_sex(self, maps: Tensor) -> dict[str, float]:
        """Return the bone age under each recorded sex."""
        logits = {sex: self._logits(maps, sex).mean(dim=0, keepdim=True) for sex in ("M", "F")}
        return {sex: expected_months(of_sex)[0].item() for sex, of_sex in logits.items()}

    def _explained(
        self, maps: Tensor, pixels: Tensor, sex: str
    ) -> tuple[Tensor, npt.NDArray[np.float32]]:
        """Return the logits and the heatmap of one picture from block 4's maps and its pixels."""
        index = self._index(maps, sex)
        if self.method == "gradcam":
            logits, heat = gradcam(self.network, maps, index)
        else:
            with torch.no_grad():
                logits = self.network.heads(maps, index)
            heat = fine(self.network, pixels, index)
        return logits, as_picture(heat[0])

    def _as_estimate(
        self,
        logits: Tensor,
        sex: str,
        by_sex: dict[str, float] | None,
        heatmap: npt.NDArray[np.float32],
    ) -> Estimate:
        """Decode the logits and scale the spread as the card says."""
        mean, spread = (value.item() for value in expected_months(logits))
        fitted = self.spread_unknown_sex if sex == "unknown" else self.spread
        half = spread * fitted.interval_factor
        seen = logits[0, AGE_CLASSES:].float().softmax(dim=0)
        index = int(seen.argmax())
        return Estimate(
            bone_age_months=mean,
            sd_months=spread * fitted.sd_factor,
            interval_months=(max(LOWEST_MONTHS, mean - half), min(HIGHEST_MONTHS, mean + half)),
            sex=sex,
            by_sex=by_sex,
            sex_seen=SEX_INPUTS[index],
            sex_probability=seen[index].item(),
            sex_accuracy=self.weights.card.get("measured", {}).get("sex_accuracy"),
            heatmap=heatmap,
            weights_version=self.weights.version,
        )
