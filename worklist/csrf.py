"""Whether a request that changes something was sent by a page of ours.

Two checks, each enough by itself: what the browser says of where the request comes from
(Sec-Fetch-Site, Origin; no script can set either), and the session's token, which no page of
another origin can read.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlsplit

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Message, Receive

HEADER: Final = "x-csrf-token"
FIELD: Final = "csrf_token"
LARGEST_FORM_BYTES: Final = 1 << 20
"""Of a form without files; a thousand selected jobs are 20 kB."""
LARGEST_START_BYTES: Final = 1 << 16
"""Of a form with files: the token stands before them."""
MOST_FIELDS: Final = 20_000


class TooLargeError(Exception):
    """A form is larger than any of ours."""


def comes_from_here(request: Request) -> bool:
    """Return whether the browser says that a page of this origin sent a request; or says nothing.

    A page on another port of the same host is another origin, though the same site.
    """
    site = request.headers.get("sec-fetch-site")
    if site not in {None, "same-origin", "none"}:
        return False
    origin = request.headers.get("origin")
    if origin is None:
        return True
    try:
        given = urlsplit(origin)
        ours = urlsplit(str(request.base_url))
        return _place(given.scheme, given.hostname, given.port) == _place(
            ours.scheme, ours.hostname, ours.port
        )
    except ValueError:
        return False


def _place(scheme: str, host: str | None, port: int | None) -> tuple[str, str | None, int | None]:
    """Return an origin, its port filled in."""
    return scheme, host, port or {"http": 80, "https": 443}.get(scheme)


def matches(given: str | None, expected: str) -> bool:
    """Return whether a token is the expected one, in a time that does not tell how nearly."""
    return given is not None and hmac.compare_digest(given.encode(), expected.encode())


async def token_of(request: Request, receive: Receive) -> tuple[str | None, Receive]:
    """Return the token that a request carries, and what gives its body from the start again.

    Raises
    ------
    TooLargeError
        If it is a form larger than any of ours.
    """
    given = request.headers.get(HEADER)
    if given is not None:
        return given, receive
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind == b"application/x-www-form-urlencoded":
        return await _token_of_fields(receive)
    if kind == b"multipart/form-data" and options.get(b"boundary"):
        return await _token_of_parts(receive, options[b"boundary"])
    return None, receive


async def _token_of_fields(receive: Receive) -> tuple[str | None, Receive]:
    """Read a whole form without files."""
    read: list[Message] = []
    body = bytearray()
    while True:
        message = await receive()
        read.append(message)
        body += message.get("body", b"")
        if len(body) > LARGEST_FORM_BYTES:
            raise TooLargeError
        if not message.get("more_body", False):
            break
    try:
        fields = parse_qsl(
            body.decode("latin-1"), keep_blank_values=True, max_num_fields=MOST_FIELDS
        )
    except ValueError:
        raise TooLargeError from None
    return next((value for name, value in fields if name == FIELD), None), _replay(read, receive)


async def _token_of_parts(receive: Receive, boundary: bytes) -> tuple[str | None, Receive]:
    """Read the start of a form with files; the files themselves pass by as they come."""
    read: list[Message] = []
    parts = _Parts(boundary)
    size = 0
    while True:
        message = await receive()
        read.append(message)
        body = message.get("body", b"")
        room = LARGEST_START_BYTES - size
        size += len(body)
        try:
            parts.write(body[:room])
        except FormParserError:
            break
        if parts.token is not None or size >= LARGEST_START_BYTES:
            break
        if not message.get("more_body", False):
            break
    return parts.token, _replay(read, receive)


class _Parts:
    """Finds the token among the parts of a form."""

    def __init__(self, boundary: bytes) -> None:
        self.token: str | None = None
        self._name = b""
        self._value = b""
        self._headers: list[bytes] = [b"", b""]
        callbacks = {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header(0, data[start:end]),
            "on_header_value": lambda data, start, end: self._header(1, data[start:end]),
            "on_header_end": self._end_header,
            "on_part_data": self._data,
            "on_part_end": self._end,
        }
        self._parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]
        self.write = self._parser.write

    def _begin(self) -> None:
        self._name, self._value, self._headers = b"", b"", [b"", b""]

    def _header(self, place: int, data: bytes) -> None:
        self._headers[place] += data

    def _end_header(self) -> None:
        if self._headers[0].lower() == b"content-disposition":
            self._name = parse_options_header(self._headers[1])[1].get(b"name", b"")
        self._headers = [b"", b""]

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._name == FIELD.encode():
            self._value += data[start:end]

    def _end(self) -> None:
        if self._name == FIELD.encode() and self.token is None:
            self.token = self._value.decode("latin-1")


def _replay(read: list[Message], receive: Receive) -> Receive:
    """Return what gives the messages that were read, and then the others."""
    waiting = iter(read)

    async def again() -> Message:
        message = next(waiting, None)
        return message if message is not None else await receive()

    return again
