"""Which centres have ossified by an age, and how far each one has come."""

from __future__ import annotations

import math
from dataclasses import dataclass

from models.phantom.field import share_of

OLDEST_MONTHS = 240.0
"""The greatest age that can be drawn."""


@dataclass(frozen=True, slots=True)
class Centre:
    """An ossification centre that appears after birth; ages in months, (boys, girls).

    Attributes
    ----------
    name : str
        The bone, as "PP3" (proximal phalanx of the middle finger), "MC1", "radius", "lunate".
    appears : tuple of float
        Median age at appearance.
    full : tuple of float
        Age from which it is as wide as the metaphysis, or has its adult shape.
    fuses : tuple of tuple of float
        Start and end of its fusion with the shaft; infinite for a bone that does not fuse.
    """

    name: str
    appears: tuple[float, float]
    full: tuple[float, float]
    fuses: tuple[tuple[float, float], tuple[float, float]] = ((math.inf,) * 2,) * 2


_PP_FULL, _MP_FULL, _MC_FULL = (134, 110), (146, 120), (142, 116)
_DP_FUSES = ((173, 189), (148, 162))
_PP_FUSES = ((182, 198), (157, 173))
_MP_FUSES = ((183, 199), (158, 174))
_MC_FUSES = ((185, 202), (160, 176))

CENTRES = (
    Centre("capitate", (3, 2), (108, 90)),
    Centre("hamate", (4, 2), (114, 96)),
    Centre("triquetrum", (29, 21), (150, 126)),
    Centre("lunate", (49, 31), (156, 132)),
    Centre("scaphoid", (68, 49), (162, 138)),
    Centre("trapezium", (70, 49), (160, 136)),
    Centre("trapezoid", (75, 50), (158, 134)),
    Centre("pisiform", (138, 112), (186, 162)),
    Centre("sesamoid", (153, 129), (186, 162)),
    Centre("radius", (13, 10), (144, 120), ((205, 228), (186, 210))),
    Centre("ulna", (85, 64), (162, 138), ((198, 216), (180, 200))),
    Centre("MC1", (31, 19), _MC_FULL, ((180, 196), (154, 170))),
    Centre("MC2", (19, 13), _MC_FULL, _MC_FUSES),
    Centre("MC3", (21, 14), _MC_FULL, _MC_FUSES),
    Centre("MC4", (24, 15), _MC_FULL, _MC_FUSES),
    Centre("MC5", (26, 16), _MC_FULL, _MC_FUSES),
    Centre("PP1", (36, 20), _MC_FULL, _PP_FUSES),
    Centre("PP2", (16, 10), _PP_FULL, _PP_FUSES),
    Centre("PP3", (16, 10), _PP_FULL, _PP_FUSES),
    Centre("PP4", (17, 11), _PP_FULL, _PP_FUSES),
    Centre("PP5", (21, 14), _PP_FULL, _PP_FUSES),
    Centre("MP2", (26, 16), _MP_FULL, _MP_FUSES),
    Centre("MP3", (24, 15), _MP_FULL, _MP_FUSES),
    Centre("MP4", (24, 15), _MP_FULL, _MP_FUSES),
    Centre("MP5", (41, 22), _MP_FULL, _MP_FUSES),
    Centre("DP1", (19, 12), _MP_FULL, _DP_FUSES),
    Centre("DP2", (38, 23), _MP_FULL, _DP_FUSES),
    Centre("DP3", (29, 18), _MP_FULL, _DP_FUSES),
    Centre("DP4", (29, 18), _MP_FULL, _DP_FUSES),
    Centre("DP5", (39, 23), _MP_FULL, _DP_FUSES),
)
_BY_NAME = {centre.name: centre for centre in CENTRES}

_NARROWS_MONTHS, _SCAR_MONTHS = 24.0, 30.0
"""How long a plate narrows before it fuses, and how long its scar can be seen afterwards."""


def column_of(sex: str, age_months: float) -> int:
    """Return the sex's place in the tables, once sex and age are known to be sound."""
    if sex not in {"M", "F"}:
        msg = f"sex must be 'M' or 'F', not {sex!r}"
        raise ValueError(msg)
    if not 0.0 <= age_months <= OLDEST_MONTHS:
        msg = f"age_months must lie in 0 to {OLDEST_MONTHS:g}, not {age_months!r}"
        raise ValueError(msg)
    return 0 if sex == "M" else 1


def ossified_centres(sex: str, age_months: float) -> frozenset[str]:
    """Return the names of those of `CENTRES` that have appeared by an age.

    Raises
    ------
    ValueError
        If the sex is not "M" or "F", or the age lies outside 0 to 240 months.
    """
    column = column_of(sex, age_months)
    return frozenset(centre.name for centre in CENTRES if age_months >= centre.appears[column])


@dataclass(frozen=True, slots=True)
class Stage:
    """A centre at an age; the shares run from 0 to 1.

    ``grown`` from a dot to full, ``capping`` from full to the start of fusion, ``narrowed`` how
    far the plate has narrowed, ``fused``, and ``faded`` how far the scar is gone.
    """

    visible: bool
    grown: float
    capping: float
    narrowed: float
    fused: float
    faded: float


def stage_of(name: str, column: int, age_months: float) -> Stage:
    """Return a centre's stage."""
    centre = _BY_NAME[name]
    appears, full = centre.appears[column], centre.full[column]
    start, end = centre.fuses[column]
    visible, grown = age_months >= appears, share_of(age_months, appears, full)
    if not math.isfinite(start):
        return Stage(visible, grown, 0.0, 0.0, 0.0, 0.0)
    return Stage(
        visible,
        grown,
        capping=share_of(age_months, full, start),
        narrowed=share_of(age_months, start - _NARROWS_MONTHS, start),
        fused=share_of(age_months, start, end),
        faded=share_of(age_months, end, end + _SCAR_MONTHS),
    )
