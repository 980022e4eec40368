"""What a client accepts (RFC 9110 12.5.1), and answers of several parts (RFC 2387, PS3.18 8.6)."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from fastapi.responses import StreamingResponse

from worklist.dicomweb_store import DicomWebError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fastapi import Request

LONGEST_ACCEPT: Final = 4096
ANY: Final = "*/*"
RELATED: Final = "multipart/related"
_WORD: Final = re.compile(r'"((?:[^"\\]|\\.)*)"|([^",;]+)|([,;])')


@dataclass(frozen=True, slots=True)
class Range:
    """One media range that a client accepts.

    Attributes
    ----------
    is_multipart : bool
        Whether it asks for ``multipart/related``; ``*/*`` may be either.
    media_type : str
        In lower case; of a multipart range, that of its parts.
    transfer_syntax : str
        As asked for: a UID, ``*``, or empty.
    quality : float
        From 0, not accepted, to 1.
    """

    is_multipart: bool
    media_type: str
    transfer_syntax: str
    quality: float

    def covers(self, media_type: str) -> bool:
        """Tell whether a media type lies in this range."""
        group = f"{media_type.partition('/')[0]}/*"
        return self.media_type in {ANY, group, media_type}


def accepted(request: Request) -> list[Range]:
    """Return what a client accepts, best first; everything where it says nothing.

    The query parameter ``accept`` goes before the header (PS3.18 8.3.3.1).

    Raises
    ------
    DicomWebError
        400 where the header is longer than any client needs.
    """
    text = request.query_params.get("accept") or ",".join(request.headers.getlist("accept"))
    if len(text) > LONGEST_ACCEPT:
        raise DicomWebError(HTTPStatus.BAD_REQUEST, "The Accept header is too long.")
    ranges = [_range(words) for words in _split(text or ANY)]
    good = [one for one in ranges if one.quality > 0]
    return sorted(good, key=lambda one: -one.quality)


def _split(text: str) -> Iterator[list[str]]:
    """Yield the words of each media range: its type, then its parameters."""
    words = [""]
    for quoted, plain, sign in _WORD.findall(text):
        if sign == ",":
            yield words
            words = [""]
        elif sign == ";":
            words.append("")
        else:
            words[-1] += quoted or plain
    yield words


def _range(words: list[str]) -> Range:
    kind, *parameters = (word.strip() for word in words)
    values = dict(word.partition("=")[::2] for word in parameters)
    values = {name.strip().lower(): value.strip() for name, value in values.items()}
    try:
        quality = min(max(float(values.get("q", "1")), 0.0), 1.0)
    except ValueError:
        quality = 0.0
    is_multipart = kind.lower() in {RELATED, "multipart/*"}
    media_type = values.get("type", ANY) if is_multipart else kind
    return Range(is_multipart, media_type.lower(), values.get("transfer-syntax", ""), quality)


def not_acceptable(offers: str) -> DicomWebError:
    """Return the answer where nothing that a client accepts can be had."""
    return DicomWebError(HTTPStatus.NOT_ACCEPTABLE, f"Not in any form accepted. Here is {offers}.")


@dataclass(frozen=True, slots=True)
class Part:
    """One part of an answer.

    Attributes
    ----------
    content_type : str
        With its transfer syntax.
    location : str
        The URL of this part alone.
    content : iterable of bytes
        Read piece by piece while it is sent.
    """

    content_type: str
    location: str
    content: Iterable[bytes]


def related(parts: Iterable[Part], media_type: str) -> StreamingResponse:
    """Return an answer of parts of one media type; each is made when its turn comes."""
    boundary = uuid.uuid4().hex
    return StreamingResponse(
        _stream(parts, boundary),
        media_type=f'{RELATED}; type="{media_type}"; boundary={boundary}',
    )


def _stream(parts: Iterable[Part], boundary: str) -> Iterator[bytes]:
    for part in parts:
        head = (
            f"--{boundary}\r\nContent-Type: {part.content_type}\r\n"
            f"Content-Location: {part.location}\r\n\r\n"
        )
        yield head.encode("latin-1")
        yield from part.content
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode("ascii")
