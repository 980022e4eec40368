"""A training shows plain lines, and a bar with the time left on a terminal."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from models.commands.progress import ERASE, WIDTH, Progress

if TYPE_CHECKING:
    from collections.abc import Iterator


class Terminal(io.StringIO):
    """A stream that a person looks at."""

    def isatty(self) -> bool:
        return True


def seconds(*values: float) -> Iterator[float]:
    yield from values


def test_without_a_terminal_there_are_lines_alone() -> None:
    stream = io.StringIO()
    progress = Progress(stream, lambda: 0.0)
    progress.advance(0.5)
    progress.pass_by("epoch 1/2 3/8 loss 7.000")
    progress.keep("epoch 1 done")
    assert stream.getvalue() == "epoch 1/2 3/8 loss 7.000\nepoch 1 done\n"


def test_a_terminal_gets_a_bar_with_the_time_left() -> None:
    stream, clock = Terminal(), seconds(100, 160)
    progress = Progress(stream, lambda: next(clock))
    progress.advance(0.2)
    progress.pass_by("loss 7.000")
    progress.advance(0.25)
    first, second = stream.getvalue().split(ERASE)[1:]
    assert "20.0% ?:??:?? left" in first
    # 60 s for a twentieth of the work: 15 minutes for the 0.75 that are left.
    assert second == f"[{'#' * 7}{'.' * (WIDTH - 7)}] 25.0% 0:15:00 left loss 7.000"


def test_the_bar_is_not_drawn_at_each_step() -> None:
    stream, clock = Terminal(), seconds(0, 0.1, 0.15, 0.25)
    progress = Progress(stream, lambda: next(clock))
    for share in (0.1, 0.2, 0.3, 0.4):
        progress.advance(share)
    assert stream.getvalue().count(ERASE) == 2


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_a_line_that_stays_ends_with_a_newline(stream: io.StringIO) -> None:
    progress = Progress(stream, lambda: 0.0)
    progress.keep("epoch 1 done")
    progress.keep("epoch 2 done")
    assert stream.getvalue().replace(ERASE, "") == "epoch 1 done\nepoch 2 done\n"
