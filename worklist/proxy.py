"""What a proxy says of the request that it passes on: the scheme, the host, who asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.datastructures import Headers, MutableHeaders

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


class Forwarded:
    """Believes X-Forwarded-Proto, -Host and -For; only for `worklist.behind_proxy`.

    Of several values the last one counts, which the proxy next to us has added: those before it
    are whatever the browser sent.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on as the browser sent it."""
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            scheme = _last(headers, "x-forwarded-proto")
            host = _last(headers, "x-forwarded-host")
            address = _last(headers, "x-forwarded-for")
            scope = {**scope, "headers": list(scope["headers"])}
            if scheme in {"http", "https"}:
                scope["scheme"] = scheme
            if address:
                scope["client"] = (address, 0)
            if host:
                MutableHeaders(scope=scope)["host"] = host
        await self.app(scope, receive, send)


def _last(headers: Headers, name: str) -> str:
    """Return the last value of a header that proxies add to."""
    return ",".join(headers.getlist(name)).rpartition(",")[2].strip()
