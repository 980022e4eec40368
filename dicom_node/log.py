"""Logging: JSON lines on standard error, with ids and never a name or a data set."""

from __future__ import annotations

import json
import logging
import sys
import threading
import traceback
import warnings
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from types import TracebackType

    from structlog.typing import EventDict, WrappedLogger

QUIET = ("pydicom", "pynetdicom", "highdicom")
"""Libraries that would print headers."""


def configure(level: str = "INFO") -> None:
    """Set up structlog for this process, and quieten libraries that would print headers.

    pydicom's warnings repeat the values that they warn of, and pynetdicom's debug log prints
    data sets: neither may reach a log. Nor may the text of an exception, whoever logs it: a
    library, a thread that dies of it, or Python at its end.
    """
    warnings.filterwarnings("ignore", module=rf"({'|'.join(QUIET)})(\..*)?")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LibraryFormatter())
    # Not by their loggers' levels: pydicom sets its own when it is first imported.
    handler.addFilter(lambda record: record.name.partition(".")[0] not in QUIET)
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            frames_without_text,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


def frames_without_text(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    """Turn an exception into its class and where it was raised; its text may hold a header."""
    given = event_dict.pop("exc_info", None)
    if isinstance(given, BaseException):
        event_dict.update(_described(type(given), given.__traceback__))
    elif given:
        kind, _, trace = given if isinstance(given, tuple) else sys.exc_info()
        event_dict.update(_described(kind, trace))
    return event_dict


def _described(
    kind: type[BaseException] | None, trace: TracebackType | None
) -> dict[str, str | list[str]]:
    """Return the class of an exception and where it came from."""
    return {
        "error": kind.__name__ if kind else "none",
        "frames": [
            f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(trace)
        ],
    }


class LibraryFormatter(logging.Formatter):
    """What a library logs, as one line of JSON; with an exception, only where and of which kind.

    Its message goes with it: Celery's, for one, repeats the text of the exception.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {"event": f"{record.name} failed"}
        if record.exc_info:
            line.update(_described(record.exc_info[0], record.exc_info[2]))
        else:
            line["event"] = record.getMessage()
        return json.dumps({**line, "level": record.levelname.lower(), "logger": record.name})


def _uncaught(
    kind: type[BaseException], _error: BaseException, trace: TracebackType | None
) -> None:
    """Log what ends the process, in place of Python's own words."""
    structlog.get_logger().critical("ended by an error", **_described(kind, trace))


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    """Log what ends a thread; one may end itself by `SystemExit`, as Python has it."""
    if args.exc_type is SystemExit:
        return
    name = args.thread.name if args.thread else "?"
    described = _described(args.exc_type, args.exc_traceback)
    structlog.get_logger().critical("a thread was ended by an error", thread=name, **described)
