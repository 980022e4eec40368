"""Who may call, and which destinations a result goes to, by caller and header."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING

from dicom_node.header import text

if TYPE_CHECKING:
    from pydicom import Dataset

    from dicom_node.config import Config, Route


def caller_allowed(config: Config, calling_ae_title: str, address: str | None = None) -> bool:
    """Return whether a peer may open an association; without an address, from some address."""
    return config.accept_unknown_callers or any(
        caller.ae_title == calling_ae_title
        and (address is None or caller.host is None or address in _addresses(caller.host))
        for caller in config.callers
    )


def _addresses(host: str) -> set[str]:
    """Return the addresses of a host name; none where it cannot be resolved."""
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(host, None)}
    except OSError:
        return set()


def _matches(route: Route, calling_ae_title: str, header: Dataset) -> bool:
    """Return whether a route applies."""
    if route.calling_ae_titles and calling_ae_title not in route.calling_ae_titles:
        return False
    return all(
        re.search(pattern, text(header, keyword), re.IGNORECASE)
        for keyword, pattern in route.match.items()
    )


def matching(config: Config, calling_ae_title: str, header: Dataset) -> list[str]:
    """Return the names of the routes that apply."""
    return [route.name for route in config.routes if _matches(route, calling_ae_title, header)]


def destinations_for(config: Config, calling_ae_title: str, header: Dataset) -> list[str]:
    """Return the names of the destinations, each once, in the order of the file.

    Without routes every result goes to every destination; with routes, to the destinations of
    all that match.
    """
    if not config.routes:
        return [destination.name for destination in config.destinations]
    wanted = {
        name
        for route in config.routes
        if _matches(route, calling_ae_title, header)
        for name in route.destinations
    }
    return [d.name for d in config.destinations if d.name in wanted]


def secondary_capture_allowed(config: Config, calling_ae_title: str, header: Dataset) -> bool:
    """Return whether a route takes this Secondary Capture for assessment."""
    return any(
        route.accept_secondary_capture and _matches(route, calling_ae_title, header)
        for route in config.routes
    )


def secondary_capture_negotiated(config: Config, calling_ae_title: str | None = None) -> bool:
    """Return whether some route takes Secondary Capture, from anyone or from this caller."""
    return any(
        route.accept_secondary_capture
        and (
            calling_ae_title is None
            or not route.calling_ae_titles
            or calling_ae_title in route.calling_ae_titles
        )
        for route in config.routes
    )
