"""The cookies of the page: out of reach of scripts and of other sites; over TLS if it is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

SESSION: Final = "worklist_session"


def cookie_name(request: Request, name: str) -> str:
    """Return a cookie's name; with the prefix a browser takes it only as this host's own, by TLS.

    See RFC 6265bis 4.1.3.2: neither a neighbour under the same domain nor one on plain HTTP can
    put another in its place.
    """
    return f"__Host-{name}" if request.url.scheme == "https" else name


def session_token(request: Request) -> str | None:
    """Return what the session's cookie holds."""
    return request.cookies.get(cookie_name(request, SESSION))


def set_cookie(
    request: Request, response: Response, name: str, value: str, lifetime_seconds: float
) -> None:
    """Set a cookie; SameSite=Lax, so that a link from elsewhere opens a page with its login."""
    response.set_cookie(
        cookie_name(request, name),
        value,
        max_age=int(lifetime_seconds),
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )


def drop_cookie(request: Request, response: Response, name: str) -> None:
    """Take a cookie back."""
    set_cookie(request, response, name, "", 0)
