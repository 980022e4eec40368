"""A site's correction of the estimates: read from its file, checked, applied.

The file is made by ``python -m models calibrate`` (`models.tjnet.calibration_fit`). It belongs to
one set of weights and is refused with any other. It is off unless configured, and every report
that it touched names it.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from models.atlas import clipped
from models.tjnet.line import Line
from models.tjnet.network import SEX_INPUTS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from models.estimate import Estimate

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
"""With the twelve digits of the hash it fits a DICOM LO of 64 characters."""


class CalibrationError(ValueError):
    """A calibration cannot be read, or belongs to other weights."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Factors on the SD and on the half width of the interval that the weights alone give."""

    sd: float
    interval: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """A correction for one set of weights.

    Attributes
    ----------
    version : str
        Name and hash, as reports show it.
    weights_version : str
        The weights that it was fitted on, and no others.
    lines : dict of Line
        For "M", "F" and "unknown".
    scale, scale_unknown_sex : Scale
        What the correction does to the spread, for a recorded and for an unknown sex.
    """

    version: str
    weights_version: str
    lines: Mapping[str, Line]
    scale: Scale
    scale_unknown_sex: Scale

    def apply(self, estimate: Estimate, half_width_months: float) -> Estimate:
        """Return the estimate with bone age, SD, interval and ``by_sex`` corrected.

        Parameters
        ----------
        estimate : Estimate
            Of the weights alone.
        half_width_months : float
            Of its interval, before the ends of the atlas clipped it.
        """
        scale = self.scale_unknown_sex if estimate.sex == "unknown" else self.scale
        centre = self.corrected(estimate.bone_age_months, estimate.sex)
        half = half_width_months * scale.interval
        by_sex = estimate.by_sex and {s: self.corrected(m, s) for s, m in estimate.by_sex.items()}
        return replace(
            estimate,
            bone_age_months=centre,
            sd_months=estimate.sd_months * scale.sd,
            interval_months=(clipped(centre - half), clipped(centre + half)),
            by_sex=by_sex,
            calibration=self.version,
        )

    def corrected(self, estimate_months: float, sex: str) -> float:
        """Return one bone age corrected, on the scale of the atlas."""
        return clipped(float(self.lines[sex].corrected(estimate_months)))


def read_calibration(path: Path, weights_version: str) -> Calibration:
    """Return the calibration of a file, for these weights.

    Raises
    ------
    CalibrationError
        If the file cannot be read, is no calibration, or is one of other weights.
    """
    try:
        content = path.read_bytes()
        calibration = _parse(json.loads(content), hashlib.sha256(content).hexdigest()[:12])
    except OSError as error:
        msg = f"{path}: {error.strerror}"
        raise CalibrationError(msg) from error
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        msg = f"{path}: no calibration: {type(error).__name__}: {error}"
        raise CalibrationError(msg) from error
    if calibration.weights_version != weights_version:
        msg = (
            f"{path}: made for the weights {calibration.weights_version}, "
            f"not for {weights_version}: calibrate anew"
        )
        raise CalibrationError(msg)
    return calibration


def check_name(name: str) -> str:
    """Return a calibration's name, or refuse it.

    Raises
    ------
    ValueError
        If it is empty, too long, or has other characters than reports can show everywhere.
    """
    if not NAME.fullmatch(name):
        msg = f"the name {name!r} must be 1 to 40 letters, digits, dots, dashes, underlines"
        raise ValueError(msg)
    return name


def _parse(values: dict[str, Any], digest: str) -> Calibration:
    """Return the calibration that the values of a file describe."""
    return Calibration(
        version=f"{check_name(values['name'])}-{digest}",
        weights_version=values["weights"],
        lines={sex: _line(values["lines"][sex]) for sex in SEX_INPUTS},
        scale=_scale(values["interval"]),
        scale_unknown_sex=_scale(values["interval"]["unknown_sex"]),
    )


def _line(values: dict[str, Any]) -> Line:
    line = Line(
        a_months=_number(values["a_months"]),
        b=_number(values["b"]),
        from_months=_number(values["from_months"]),
        to_months=_number(values["to_months"]),
    )
    if line.b <= 0 or line.from_months > line.to_months:
        msg = "a line does not rise, or its ends are exchanged"
        raise ValueError(msg)
    return line


def _scale(values: dict[str, Any]) -> Scale:
    scale = Scale(sd=_number(values["sd_scale"]), interval=_number(values["interval_scale"]))
    if min(scale.sd, scale.interval) <= 0:
        msg = "a scale of the interval is not above zero"
        raise ValueError(msg)
    return scale


def _number(value: object) -> float:
    """Return a finite number; JSON also has words, and Python's reads NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        msg = f"not a number: {value!r}"
        raise TypeError(msg)
    return float(value)
