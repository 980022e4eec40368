"""The one door to the network: a picture and the recorded sex in, an `Estimate` out."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.atlas import clipped
from models.estimate import Estimate
from models.gate.look import Gate, Look, look_plainly
from models.tjnet.backend import prepare
from models.tjnet.calibration import Calibration, read_calibration
from models.tjnet.heatmap import as_picture, check_method, fine, gradcam
from models.tjnet.network import AGE_CLASSES, SEX_INPUTS, expected_months
from models.tjnet.preprocess import to_input
from models.tjnet.spread import Spread
from models.tjnet.views import check_views, view
from models.tjnet.weights import Weights, WeightsError, load_weights

NO_HEATMAP = np.zeros((0, 0), dtype=np.float32)


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
        card = weights.card["spread"]
        return Spread.of(card), Spread.of(card["unknown_sex"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        msg = f"the card of {weights.version} has no spread: {error}"
        raise WeightsError(msg) from error


def _largest_softmax_sd_months(weights: Weights) -> float:
    """Return beyond which SD of the softmax the card lets no estimate out; no limit without one."""
    limit = weights.card.get("gate", {}).get("largest_softmax_sd_months")
    return math.inf if limit is None else float(limit)


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
    calibration : str, Path or None
        File of a site's correction, see `models.tjnet.calibration`; None: the weights alone.
    heatmap : str
        ``gradcam`` (block 4's) or ``fine``, see `models.tjnet.heatmap`; no estimate depends on it.
    gate : Gate, "shipped" or None
        What looks at each picture before the network; None leaves the plain checks alone, and
        turns no picture.

    Raises
    ------
    WeightsError
        If the weights cannot be loaded or their card has no spread.
    CalibrationError
        If the calibration cannot be read or belongs to other weights.
    ValueError
        If there is no such device, number of views, or method for the heatmap.
    """

    def __init__(  # noqa: PLR0913 - each is one thing to choose
        self,
        weights: str | Path = "default",
        device: str = "auto",
        *,
        views: int = 1,
        calibration: str | Path | None = None,
        heatmap: str = "fine",
        gate: Gate | Literal["shipped"] | None = "shipped",
    ) -> None:
        check_views(views)
        check_method(heatmap)
        self.views, self.method = views, heatmap
        self.device = choose_device(device)
        self.weights: Weights = load_weights(weights)
        self.spread, self.spread_unknown_sex = _spreads(self.weights)
        self.gate = Gate() if gate == "shipped" else gate
        self.largest_softmax_sd_months = _largest_softmax_sd_months(self.weights)
        self.calibration: Calibration | None = None
        if calibration is not None:
            self.calibration = read_calibration(Path(calibration), self.weights.version)
        self.network = prepare(self.weights.network, self.device)

    def estimate(self, picture: npt.NDArray[np.generic], sex: str) -> Estimate:
        """Estimate bone age and sex.

        Parameters
        ----------
        picture : ndarray
            (H, W), any real type and range; bone bright and fingers up, or as the gate can tell.
        sex : str
            Recorded sex; anything but "M" or "F" is unknown.

        Raises
        ------
        UnusablePictureError
            If the gate refuses the picture, or the network cannot tell.
        ValueError
            If the picture is not two-dimensional, is empty, or is not finite.
        """
        look = self._look(picture)
        if look.refusal is not None:
            raise UnusablePictureError(look.refusal)
        estimate, doubt = self._read(picture, look, sex, explain=True)
        if doubt is not None:
            raise UnusablePictureError(doubt)
        return estimate

    def assess(
        self, picture: npt.NDArray[np.generic], sex: str, *, explain: bool = True
    ) -> tuple[Estimate, str | None]:
        """Return the network's answer, and why it must not be used, or None.

        This measures what the gate keeps back; whoever reports an age calls `estimate`. Without
        ``explain`` the heatmap is empty, and its gradient is saved.
        """
        look = self._look(picture)
        estimate, doubt = self._read(picture, look, sex, explain=explain)
        return estimate, look.refusal or doubt

    def _look(self, picture: npt.NDArray[np.generic]) -> Look:
        """Return what the gate sees, or without one the plain checks."""
        if self.gate is not None:
            return self.gate.look(picture)
        return look_plainly(picture, to_input(picture, self.network.config.input_size_px))

    def _read(
        self, picture: npt.NDArray[np.generic], look: Look, sex: str, *, explain: bool
    ) -> tuple[Estimate, str | None]:
        """Return the network's answer, and why it is too uncertain to be given, or None."""
        recorded = sex if sex in SEX_INPUTS else "unknown"
        levels = to_input(look.righted(picture), self.network.config.input_size_px)
        estimate, softmax_sd_months = self._answer(levels, recorded, explain=explain)
        placed = replace(
            estimate,
            heatmap=look.laid_back(estimate.heatmap),
            inverted=look.inverted,
            turned_deg=look.turned_deg,
        )
        if softmax_sd_months <= self.largest_softmax_sd_months:
            return placed, None
        spread = f"its answers spread over {softmax_sd_months:.0f} months"
        return placed, f"the network cannot tell: {spread}"

    def _answer(
        self, levels: npt.NDArray[np.uint8], recorded: str, *, explain: bool
    ) -> tuple[Estimate, float]:
        """Run the network; returns its answer, and the SD of the softmax in months.

        The heatmap is that of the picture itself, the first view.
        """
        pixels = torch.from_numpy(levels)[None, None].to(self.device).float() / 255.0
        with torch.no_grad():
            early = self.network.early(view(pixels, self.views))
        logits, heatmap = self._explained(early[:1], recorded, explain=explain)
        with torch.no_grad():
            if self.views > 1:
                others = self._logits(early[1:], recorded)
                logits = torch.cat([logits, others]).mean(dim=0, keepdim=True)
            by_sex = None if recorded != "unknown" else self._by_sex(early)
        softmax_sd_months = expected_months(logits)[1].item()
        return self._as_estimate(logits, recorded, by_sex, heatmap), softmax_sd_months

    @torch.no_grad()
    def _logits(self, early: Tensor, sex: str) -> Tensor:
        """Return (B, 79) logits from block 2's maps."""
        return self.network.heads(self.network.late(early), self._index(early, sex))

    def _index(self, batch: Tensor, sex: str) -> Tensor:
        """Return (B,) the index of a recorded sex for each of a batch."""
        return torch.full((len(batch),), SEX_INPUTS.index(sex), device=self.device)

    def _by_sex(self, early: Tensor) -> dict[str, float]:
        """Return the bone age under each recorded sex."""
        # The features are the same for both: most of the time goes there.
        features = self.network.features(self.network.late(early))
        months = {}
        for sex in ("M", "F"):
            answers = self.network.answers(features, self._index(features, sex))
            logits = answers.mean(dim=0, keepdim=True)
            months[sex] = expected_months(logits)[0].item()
        return months

    def _explained(
        self, early: Tensor, sex: str, *, explain: bool
    ) -> tuple[Tensor, npt.NDArray[np.float32]]:
        """Return the logits of one picture from block 2's maps, and its heatmap if asked for."""
        if not explain:
            return self._logits(early, sex), NO_HEATMAP
        index = self._index(early, sex)
        if self.method == "gradcam":
            with torch.no_grad():
                maps = self.network.late(early)
            logits, heat = gradcam(self.network, maps, index)
        else:
            logits, heat = fine(self.network, early, index)
        return logits, as_picture(heat[0])

    def _as_estimate(
        self,
        logits: Tensor,
        sex: str,
        by_sex: dict[str, float] | None,
        heatmap: npt.NDArray[np.float32],
    ) -> Estimate:
        """Decode the logits, scale the spread as the card says, and calibrate."""
        mean, spread = (value.item() for value in expected_months(logits))
        fitted = self._spread_for(sex)
        half = spread * float(fitted.interval_factor(mean))
        seen = logits[0, AGE_CLASSES:].float().softmax(dim=0)
        index = int(seen.argmax())
        estimate = Estimate(
            bone_age_months=mean,
            sd_months=spread * float(fitted.sd_factor(mean)),
            interval_months=(clipped(mean - half), clipped(mean + half)),
            sex=sex,
            by_sex=by_sex,
            sex_seen=SEX_INPUTS[index],
            sex_probability=seen[index].item(),
            sex_accuracy=self.weights.card.get("measured", {}).get("sex_accuracy"),
            heatmap=heatmap,
            weights_version=self.weights.version,
            views=self.views,
            age_probability=logits[0, :AGE_CLASSES].float().softmax(dim=0).cpu().numpy(),
        )
        return estimate if self.calibration is None else self.calibration.apply(estimate, half)

    def _spread_for(self, sex: str) -> Spread:
        return self.spread_unknown_sex if sex == "unknown" else self.spread

    def half_width_months(self, estimate: Estimate) -> float:
        """Return half of the interval before the ends of the atlas clipped it.

        Of an estimate of these weights alone: a calibrated one has lost its place in the bands.
        """
        fitted, mean = self._spread_for(estimate.sex), estimate.bone_age_months
        share = float(fitted.interval_factor(mean)) / float(fitted.sd_factor(mean))
        return estimate.sd_months * share
