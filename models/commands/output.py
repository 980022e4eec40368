"""What commands print and write."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

T = TypeVar("T")
DONE, BAD_INPUT, REFUSED, INTERRUPTED = 0, 2, 3, 130
PROGRESS_EVERY = 100


def say(line: str) -> None:
    """Print a line of the answer."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def tell(line: str) -> None:
    """Print a line beside the answer: progress, warnings, errors."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def with_progress(items: Iterable[T], total: int, every: int = PROGRESS_EVERY) -> Iterator[T]:
    """Yield the items, telling now and then how many there have been."""
    for count, item in enumerate(items, start=1):
        if count % every == 0 or count == total:
            tell(f"{count}/{total}")
        yield item


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write in one rename, so that a reader finds all or nothing."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)
