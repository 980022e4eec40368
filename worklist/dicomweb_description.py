"""What `worklist.openapi` says of DICOMweb: its media types and parameters (PS3.18 8.3.4, 10)."""

from __future__ import annotations

from typing import Any, Final

from fastapi.responses import Response

from worklist.dicomweb_frames import OCTETS, PDF, RENDERED
from worklist.dicomweb_json import MEDIA_TYPE
from worklist.dicomweb_keys import KEYS, Level
from worklist.dicomweb_retrieve import DICOM
from worklist.multipart import RELATED

Json = dict[str, Any]
Described = dict[str, Any]
"""Keyword arguments of a route."""

BINARY: Final[Json] = {"schema": {"type": "string", "format": "binary"}}
MODEL: Final[Json] = {
    MEDIA_TYPE: {"schema": {"type": "array", "items": {"type": "object"}}},
}
"""The DICOM JSON model (PS3.18 F)."""


def _query(name: str, description: str) -> Json:
    text = {"type": "string"}
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": description,
        "schema": text,
    }


ACCEPT: Final = _query("accept", "Media types, before those of the header `Accept`")
PAGE: Final = (
    _query("limit", "How many at most; 200 without it, never more than 1000"),
    _query("offset", "How many to pass over, at most 10,000"),
    _query("includefield", "Further attributes by keyword or tag; `all`"),
    _query("fuzzymatching", "Not supported: a Warning says so"),
)


def searches(level: Level) -> Described:
    """Return the description of a search."""
    keys = [_query(key, "Only matches; PS3.4 C.2.2.2") for key in KEYS[level]]
    warning = {"Warning": {"schema": {"type": "string"}, "description": "What was not done"}}
    return {
        "response_class": Response,
        "responses": {
            200: {
                "description": "What matches, newest first",
                "content": MODEL,
                "headers": warning,
            },
            204: {"description": "Nothing matches", "headers": warning},
        },
        "openapi_extra": {"parameters": [*keys, *PAGE, ACCEPT]},
    }


def sends(*media_types: str, parameters: tuple[Json, ...] = (), in_part: bool = False) -> Described:
    """Return the description of what sends bytes of some media types."""
    content = dict.fromkeys(media_types, BINARY)
    part = {206: {"description": "Some files are missing", "content": content}} if in_part else {}
    return {
        "response_class": Response,
        "responses": {200: {"description": "As accepted", "content": content}, **part},
        "openapi_extra": {"parameters": [*parameters, ACCEPT]},
    }


METADATA: Final[Described] = {
    "response_class": Response,
    "responses": {200: {"description": "The headers", "content": MODEL}},
    "openapi_extra": {"parameters": [ACCEPT]},
}
INSTANCES: Final = sends(RELATED, DICOM, in_part=True)
FRAMES: Final = sends(RELATED)
BULK: Final = sends(RELATED, OCTETS, PDF)
PICTURE: Final = sends(
    *RENDERED,
    PDF,
    parameters=(
        _query("window", "center,width,function (linear, linear-exact or sigmoid)"),
        _query("viewport", "width,height in pixels: the picture is fitted into it"),
        _query("quality", "Of a JPEG, from 1 to 100"),
    ),
)
