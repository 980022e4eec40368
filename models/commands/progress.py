"""How a training shows its progress: plain lines, or a bar with the time left on a terminal."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

WIDTH = 30
REDRAW_SECONDS = 0.2
ERASE = "\r\x1b[K"


class Progress:
    """Lines of progress; on a terminal the passing ones stand beside a bar instead.

    Parameters
    ----------
    stream : TextIO, optional
        Where to write (default stdout).
    clock : callable
        Returns seconds.
    """

    def __init__(
        self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.stream, self.clock = stream or sys.stdout, clock
        self.terminal = self.stream.isatty()
        self._note = ""
        self._drawn = -REDRAW_SECONDS
        self._began: tuple[float, float] | None = None

    def keep(self, line: str) -> None:
        """Write a line that stays."""
        self.stream.write(f"{ERASE if self.terminal else ''}{line}\n")
        self.stream.flush()

    def pass_by(self, line: str) -> None:
        """Show a line that the next one may replace."""
        if self.terminal:
            self._note = line
        else:
            self.keep(line)

    def advance(self, share: float) -> None:
        """Draw the bar, on a terminal and not too often.

        Parameters
        ----------
        share : float
            How much of the work is done, from 0 to 1.
        """
        now = self.clock()
        if self._began is None:
            self._began = (now, share)
        if not self.terminal or now - self._drawn < REDRAW_SECONDS:
            return
        self._drawn = now
        filled = int(share * WIDTH)
        bar = "#" * filled + "." * (WIDTH - filled)
        left = self._seconds_left(now, share)
        self.stream.write(f"{ERASE}[{bar}] {share:.1%} {left} left {self._note}")
        self.stream.flush()

    def _seconds_left(self, now: float, share: float) -> str:
        """Return the time left as h:mm:ss, from the pace since this process began."""
        began, share_then = self._began or (now, share)
        if share <= share_then:
            return "?:??:??"
        seconds = round((now - began) * (1 - share) / (share - share_then))
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
