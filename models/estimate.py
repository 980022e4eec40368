"""What the network says of one radiograph, as plain values: no torch here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the network says of one radiograph.

    Attributes
    ----------
    bone_age_months : float
        Expectation under the softmax, 0 to 228.
    sd_months : float
        Predictive SD, scaled on the validation split (weights card, ``spread``).
    interval_months : tuple of float
        Lower and upper bound of the 90 % interval.
    sex : str
        The recorded sex that the network was given: "M", "F" or "unknown".
    by_sex : dict or None
        For unknown sex the estimates under "M" and "F"; None where the sex is known.
    sex_seen : str
        "M" or "F", as the image looks to the network; a consistency flag, never an override.
    sex_probability : float
        Of ``sex_seen``, 0.5 to 1.
    sex_accuracy : float or None
        How often these weights saw the recorded sex on their validation split (weights card);
        None where it was not measured. Near one half, what they see says nothing.
    heatmap : ndarray of float32
        (h, w) in [0, 1]: where the estimate comes from (`models.tjnet.heatmap`); empty where it
        was not asked for.
    weights_version : str
        Name and hash of the weights.
    inverted : bool
        Whether black and white were turned round before reading: bone was dark.
    turned_deg : int
        By how much the picture was turned counter-clockwise before reading: 0, 90, 180 or 270.
        The heatmap lies over the picture as it came.
    calibration : str or None
        Name and hash of the linear correction that the bone age and its interval went through.
    views : int
        Of the picture, averaged: 1, or more for test-time augmentation.
    age_probability : ndarray of float32 or None
        (77,) the softmax over the age classes, class k being 3k months, before any correction.
    """

    bone_age_months: float
    sd_months: float
    interval_months: tuple[float, float]
    sex: str
    by_sex: dict[str, float] | None
    sex_seen: str
    sex_probability: float
    sex_accuracy: float | None
    heatmap: npt.NDArray[np.float32]
    weights_version: str
    inverted: bool = False
    turned_deg: int = 0
    calibration: str | None = None
    views: int = 1
    age_probability: npt.NDArray[np.float32] | None = None
