"""Logging: JSON lines on standard error and in files, with ids and never a name or a data set."""

from __future__ import annotations

import fcntl
import io
import itertools
import json
import logging
import sys
import threading
import traceback
import warnings
from logging.handlers import RotatingFileHandler
from typing import IO, TYPE_CHECKING, Any, Final, TextIO, cast

import structlog

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from structlog.typing import EventDict, WrappedLogger

QUIET = ("pydicom", "pynetdicom", "highdicom")
"""Libraries that would print headers."""

ENDING: Final = ".jsonl"
"""Of the files; older lines of one stand in files with a further .1, .2 and so on."""

AS_JSON: Final = structlog.processors.JSONRenderer()

READY: Final = "dicom_node.ready"
"""The name of records that are lines already."""


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
    handler.addFilter(_is_loud)
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            frames_without_text,
            as_kept_line,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(_STANDARD_ERROR),
        cache_logger_on_first_use=True,
    )
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


class _StandardError(io.TextIOBase):
    """The standard error of the moment: loggers are kept, and it may be replaced and closed."""

    def write(self, text: str) -> int:
        """Write to it."""
        return sys.stderr.write(text)

    def flush(self) -> None:
        """Let it be written out."""
        sys.stderr.flush()


_STANDARD_ERROR: Final = cast("TextIO", _StandardError())


def _is_loud(record: logging.LogRecord) -> bool:
    """Tell whether a record comes from a library that prints no headers."""
    return record.name.partition(".")[0] not in QUIET


class LineFile(RotatingFileHandler):
    """A process's own file of log lines, its name held by a lock as long as the process lives.

    Two processes must not share one: each would go on writing into what the other has renamed.

    Parameters
    ----------
    folder : Path
        Where the files lie.
    part : str
        The part of the node; a second process of it takes ``part-2``.
    megabytes, files : int
        A full file is renamed; so many are kept, the one being written included.
    """

    def __init__(self, folder: Path, part: str, megabytes: int, files: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        name, self._lock = _free_name(folder, part)
        super().__init__(
            folder / f"{name}{ENDING}",
            maxBytes=megabytes * 1_000_000,
            backupCount=files - 1,
            encoding="utf-8",
            delay=True,
        )
        self.setFormatter(LibraryFormatter())
        self.addFilter(_is_loud)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        """Let a line go that the disk does not take; standard error has it."""

    def close(self) -> None:
        """Give the name back."""
        super().close()
        self._lock.close()


def _free_name(folder: Path, part: str) -> tuple[str, IO[bytes]]:
    """Return the first name of a part that no living process holds, and its lock."""
    names = itertools.chain([part], (f"{part}-{number}" for number in itertools.count(2)))
    for name in names:
        lock = (folder / f".{name}.lock").open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            continue
        return name, lock
    raise AssertionError


def keep(folder: Path, part: str, megabytes: int, files: int) -> None:
    """Write this process's log lines to a file, too; see `LineFile`.

    Called again, as by two nodes in one process, the latest folder gets them. Where the folder
    cannot be written to, standard error alone has them, and says so.
    """
    stop_keeping()
    try:
        handler = LineFile(folder, part, megabytes, files)
    except OSError as error:
        structlog.get_logger().warning("no log file", error=type(error).__name__)
        return
    logging.getLogger().addHandler(handler)


def stop_keeping() -> None:
    """Close this process's file, if there is one."""
    for handler in _line_files():
        logging.getLogger().removeHandler(handler)
        handler.close()


def _line_files() -> list[LineFile]:
    """Return this process's file, if there is one."""
    return [handler for handler in logging.getLogger().handlers if isinstance(handler, LineFile)]


def as_kept_line(logger: WrappedLogger, method: str, event_dict: EventDict) -> str:
    """Return an event as its line of JSON, which goes to this process's file, too."""
    line = str(AS_JSON(logger, method, event_dict))
    for handler in _line_files():
        handler.handle(logging.makeLogRecord({"name": READY, "msg": line}))
    return line


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
        if record.name == READY:
            return record.getMessage()
        line: dict[str, Any] = {"event": f"{record.name} failed"}
        if record.exc_info:
            line.update(_described(record.exc_info[0], record.exc_info[2]))
        else:
            line["event"] = record.getMessage()
        line.update(structlog.contextvars.get_contextvars())
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
