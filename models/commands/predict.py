"""`predict`: one line for each picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.atlas import is_at_ceiling, reaches_ceiling
from models.commands.estimator import estimator_of
from models.commands.output import BAD_INPUT, DONE, REFUSED, say
from models.tjnet.dataset import decode_picture

if TYPE_CHECKING:
    import argparse

    from models.estimate import Estimate
    from models.tjnet.estimator import Estimator


def run(args: argparse.Namespace) -> int:
    """Print a line for each picture; unreadable ones do not keep back the others."""
    estimator = estimator_of(args)
    codes = set()
    for picture in args.pictures:
        answer, code = _answer(estimator, picture, args.sex)
        codes.add(code)
        say(json.dumps(answer) if args.json else _answer_line(answer, args.sex))
    return next(code for code in (BAD_INPUT, REFUSED, DONE) if code in codes)


def _answer(estimator: Estimator, picture: str, sex: str) -> tuple[dict[str, Any], int]:
    """Return the object of one picture and its exit code."""
    try:
        pixels = decode_picture(Path(picture))
        estimate, refusal = estimator.assess(pixels, sex, explain=False)
    except ValueError as error:
        return _object(picture, f"cannot be read: {error}", None), BAD_INPUT
    if refusal is not None:
        return _object(picture, refusal, None), REFUSED
    return _object(picture, None, estimate), DONE


def _object(picture: str, reason: str | None, estimate: Estimate | None) -> dict[str, Any]:
    """Return what ``--json`` prints; null where not answered."""
    keys = ("bone_age_months", "sd_months", "interval_months", "by_sex", "sex_seen")
    more = ("sex_probability", "inverted", "turned_deg")
    given = {key: getattr(estimate, key, None) for key in (*keys, *more)}
    return {
        "file": picture,
        "accepted": estimate is not None,
        "reason": reason,
        **given,
        "at_least": estimate and is_at_ceiling(estimate.bone_age_months, estimate.sex),
        "calibration": estimate and estimate.calibration,
    }


def _answer_line(answer: dict[str, Any], sex: str) -> str:
    """Return an object as a line for a person."""
    if not answer["accepted"]:
        return f"{answer['file']}: no estimate: {answer['reason']}"
    low, high = answer["interval_months"]
    to = "months or more" if reaches_ceiling(high, sex) else f"to {high:.1f}"
    at_least = "at least " if answer["at_least"] else ""
    calibrated = f"; calibration {answer['calibration']}" if answer["calibration"] else ""
    years, months = divmod(round(answer["bone_age_months"]), 12)
    by_sex = answer["by_sex"]
    other = f" (as M {by_sex['M']:.1f}, as F {by_sex['F']:.1f})" if by_sex else ""
    return (
        f"{answer['file']}: bone age {at_least}{years} y {months} m, "
        f"{answer['bone_age_months']:.1f} months"
        f"{other}, 90 % interval {low:.1f} {to}; recorded sex {sex}, "
        f"looks {answer['sex_seen']} ({answer['sex_probability']:.2f})"
        f"{calibrated}{_changes(answer)}"
    )


def _changes(answer: dict[str, Any]) -> str:
    """Return what was done to the picture before it was read, for the end of a line."""
    turned = answer["turned_deg"]
    words = "; black and white were turned round" if answer["inverted"] else ""
    return f"{words}; turned by {turned} degrees counter-clockwise" if turned else words
