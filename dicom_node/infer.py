"""The one door to `models`: a radiograph's data set in, picture and finding out."""

from __future__ import annotations

from collections import OrderedDict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import torch

from dicom_node.errors import ConfigError
from dicom_node.finding import Finding, Known, Laterality, Refusal
from dicom_node.growth import assess_growth, growth_velocity
from dicom_node.pixels import read_picture_pixels
from dicom_node.source_header import (
    acquisition_date,
    chronological_age_months,
    laterality,
    recorded_sex,
)
from models.tjnet.calibration import CalibrationError
from models.tjnet.estimator import Estimator, UnusablePictureError
from models.tjnet.weights import WeightsError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from pydicom import Dataset

    from dicom_node.config import InferenceSection
    from models.estimate import Estimate

NOTHING_MORE: Final = Known()
OTHERS_KEPT: Final = 2
"""Weights beside those of the configuration that stay in memory, the last ones used."""
SIDES: Final[dict[str, Laterality]] = {"L": "L", "R": "R"}


def load_estimator(section: InferenceSection) -> Estimator:
    """Load the weights, and the calibration if there is one, once a process, after any fork.

    Raises
    ------
    ConfigError
        If the weights or the calibration cannot be loaded, or do not belong together.
    """
    if section.threads:
        torch.set_num_threads(section.threads)
    try:
        return Estimator(
            section.weights,
            section.device,
            views=section.views,
            calibration=section.calibration,
        )
    except WeightsError as error:
        msg = f"inference.weights: {error}"
        raise ConfigError(msg) from error
    except CalibrationError as error:
        msg = f"inference.calibration: {error}"
        raise ConfigError(msg) from error


class Estimators:
    """The configuration's weights, and on demand those that a re-run asks for.

    Parameters
    ----------
    section : InferenceSection
        What weights there are, and how they are used.
    own : Estimator
        With the weights of the configuration; it stays.
    """

    def __init__(self, section: InferenceSection, own: Estimator) -> None:
        self._section, self._own = section, own
        self._others: OrderedDict[str, Estimator] = OrderedDict()

    def of(self, name: str | None) -> Estimator:
        """Return an estimator with the weights of a name; None: those of the configuration.

        Raises
        ------
        ConfigError
            If there are no such weights, or they cannot be loaded.
        """
        if name is None or name == self._section.own_weights:
            return self._own
        if name not in self._others:
            chosen = {"weights": self._section.weights_of(name), "calibration": None}
            self._others[name] = load_estimator(self._section.model_copy(update=chosen))
        self._others.move_to_end(name)
        while len(self._others) > OTHERS_KEPT:
            self._others.popitem(last=False)
        return self._others[name]


def find(
    estimator: Estimator, source: Dataset, known: Known = NOTHING_MORE
) -> tuple[npt.NDArray[np.float32], Finding | Refusal]:
    """Assess a radiograph, by its header and what is known beside it.

    Returns
    -------
    picture : ndarray of float32
        (H, W) in [0, 1] as displayed, bone bright.
    found : Finding or Refusal
        The estimate with what is known of the child, or why the gate refuses the picture.

    Raises
    ------
    PixelsError
        If the pixels cannot be read.
    """
    started_at = datetime.now(UTC).astimezone()
    picture = read_picture_pixels(source)
    try:
        sex = known.corrected("PatientSex") or recorded_sex(source)
        estimate = _estimate(estimator, picture, sex, known)
    except UnusablePictureError as error:
        return picture, Refusal(
            reason=str(error),
            laterality=_side(source, known),
            started_at=started_at,
            weights_version=estimator.weights.version,
            calibration=estimator.calibration.version if estimator.calibration else None,
        )
    return picture, _finding(source, estimate, known, started_at)


def _estimate(
    estimator: Estimator, picture: npt.NDArray[np.float32], sex: str, known: Known
) -> Estimate:
    """Return the estimate; what the gate says of the picture counts unless it was overruled."""
    if known.accepted is not None and known.accepted.overrule_gate:
        return estimator.assess(picture, sex)[0]
    return estimator.estimate(picture, sex)


def _finding(source: Dataset, estimate: Estimate, known: Known, started_at: datetime) -> Finding:
    """Return an estimate with what is known of the child."""
    age = chronological_age_months(source, known.corrected("PatientBirthDate"))
    day = acquisition_date(source, known.corrected("PatientBirthDate"))
    earlier = tuple(result for result in known.earlier if day and result.acquired_on < day)
    return Finding(
        estimate=estimate,
        chronological_age_months=age,
        laterality=_side(source, known),
        growth=assess_growth(estimate, age),
        started_at=started_at,
        acquired_on=day,
        earlier=earlier,
        velocity=growth_velocity(estimate, day, earlier),
        corrections=known.corrections,
        replaces=known.replaces,
        accepted=known.accepted,
    )


def _side(source: Dataset, known: Known) -> Laterality | None:
    """Return the side of the hand: what a person said, else what the header says."""
    said = known.corrected("ImageLaterality")
    return laterality(source) if said is None else SIDES[said]
