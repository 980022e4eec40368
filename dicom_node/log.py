"""Logging: JSON lines on standard error, with ids and never a name or a data set."""

from __future__ import annotations

import logging
import sys
import traceback
import warnings
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, WrappedLogger


def configure(level: str = "INFO") -> None:
    """Set up structlog for this process, and quieten libraries that would print headers.

    pydicom's warnings repeat the values that they warn of, and pynetdicom's debug log prints
    data sets: neither may reach a log.
    """
    warnings.filterwarnings("ignore", module=r"(pydicom|pynetdicom|highdicom)(\..*)?")
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    for name in ("pydicom", "pynetdicom", "highdicom"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
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


def frames_without_text(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    """Turn an exception into its class and where it was raised; its text may hold a header."""
    if event_dict.pop("exc_info", None):
        kind, _, trace = sys.exc_info()
        event_dict["error"] = kind.__name__ if kind else "none"
        event_dict["frames"] = [
            f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(trace)
        ]
    return event_dict
