"""What a person may say instead of a header, for a re-run: sex, birth date, side."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, get_args

from dicom_node.errors import CorrectionError
from dicom_node.finding import CorrectedKeyword, Correction

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

KEYWORDS: Final[tuple[CorrectedKeyword, ...]] = get_args(CorrectedKeyword)
ALLOWED: Final = {"PatientSex": ("M", "F", "unknown"), "ImageLaterality": ("L", "R")}


def check(values: Mapping[CorrectedKeyword, str]) -> None:
    """Refuse what cannot be.

    Raises
    ------
    CorrectionError
        If a keyword cannot be corrected, or a value is not one that it may have. The value is
        not repeated: it may be a birth date.
    """
    for keyword, value in values.items():
        if keyword not in KEYWORDS:
            msg = f"{keyword} cannot be corrected; only {', '.join(KEYWORDS)}"
            raise CorrectionError(msg)
        allowed = ALLOWED.get(keyword)
        if allowed is not None and value not in allowed:
            msg = f"{keyword} is corrected to one of {', '.join(allowed)}"
            raise CorrectionError(msg)
        if allowed is None and not _is_past_day(value):
            msg = f"{keyword} is corrected to a day of the past as YYYYMMDD"
            raise CorrectionError(msg)


def merged(
    old: Iterable[dict[str, Any]] | None, values: Mapping[CorrectedKeyword, str], actor: str
) -> list[dict[str, Any]]:
    """Return earlier corrections with new ones over them, as the database keeps them."""
    kept = {item["keyword"]: item for item in old or []}
    for keyword, value in values.items():
        kept[keyword] = {"keyword": keyword, "value": value, "actor": actor}
    return list(kept.values())


def read(kept: Iterable[dict[str, Any]] | None) -> tuple[Correction, ...]:
    """Return corrections from what the database keeps."""
    return tuple(Correction(**item) for item in kept or [])


def _is_past_day(text: str) -> bool:
    """Return whether a text is a day that has come."""
    try:
        day = datetime.strptime(text, "%Y%m%d").astimezone()
    except ValueError:
        return False
    return len(text) == len("YYYYMMDD") and day <= datetime.now(day.tzinfo)
