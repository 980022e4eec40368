"""The door: nothing behind it is reached by anybody who is not known.

It stands before the router and whatever is mounted, so that no route can forget it: every address
needs a login, or an API token, unless `OPEN_PATHS` names it; every request that changes something
by a session must come from a page of ours. What a known user may do is for the routes to say
(`worklist.access`).
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

import structlog
from fastapi.responses import RedirectResponse, Response
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from worklist import csrf, sessions, tokens
from worklist.cookies import session_token
from worklist.failures import is_for_programs, on_database_error, refuse
from worklist.web import node_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from worklist.sessions import Caller

log = structlog.get_logger()

OPEN_PATHS: Final = frozenset(
    {
        "/login",  # where a user becomes known
        "/login/provider",  # the same by OpenID Connect: there
        "/login/provider/return",  # and back
        "/healthz",  # monitors have no login; none of these three shows a job or a patient
        "/readyz",
        "/metrics",
    }
)
OPEN_FOLDERS: Final = ("/static/",)
"""The look of the login page itself: files of this software, the same for all."""

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
LARGEST_OPEN_BYTES: Final = 1 << 16
"""What somebody unknown may send: a name and a password."""
LARGEST_BYTES: Final = 4 << 20
"""What somebody known may send: the ids of a batch. It is read before their role is asked for."""
FILE_PATHS: Final = frozenset(
    {"/upload", "/api/instances", "/connections/sample", "/api/connections/sample"}
)
"""Where files go, which have limits of their own, looked at after the role."""

FROM_ELSEWHERE: Final = (
    "Your browser says that a page of another origin asked for this; nothing was done. If it was "
    "this page, the proxy before it must pass on the host name and the scheme."
)
OUT_OF_DATE: Final = (
    "This form is out of date; nothing was done. Go back, reload the page, and send it again."
)
TOO_LARGE: Final = "This is larger than anything that is asked for here."
NOT_KNOWN: Final = "Log in, or send a valid API token as `Authorization: Bearer`."


class Guard:
    """Lets a request pass, or answers it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Find out who asks, and hand the request on with them in its state."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # there are no websockets here
            await send({"type": "websocket.close", "code": 1008})
            return
        passed = await _pass(Request(scope, receive), receive)
        if isinstance(passed, Response):
            await passed(scope, receive, send)
        else:
            await self.app(scope, passed, send)


async def _pass(request: Request, receive: Receive) -> Response | Receive:
    """Return an answer for whom the door is shut, else what gives the request's body."""
    bearer = bearer_of(request)
    unsafe = request.method not in SAFE
    if unsafe and bearer is None and not csrf.comes_from_here(request):
        return refuse(request, HTTPStatus.FORBIDDEN, FROM_ELSEWHERE)
    if is_open(request.url.path):
        return _limited(receive, LARGEST_OPEN_BYTES)
    try:
        caller = await run_in_threadpool(identify, request)
    except SQLAlchemyError as error:
        return on_database_error(request, error)
    if caller is None:
        return _ask_to_log_in(request)
    request.state.user = caller.user
    request.state.account_id = caller.account_id
    if bearer is None:
        request.state.csrf_token = sessions.csrf_token(session_token(request) or "")
    return await _pass_body(request, receive) if unsafe else receive


async def _pass_body(request: Request, receive: Receive) -> Response | Receive:
    """Limit what a request that changes something may hold; look for the session's token in it."""
    if request.url.path not in FILE_PATHS:
        if _declared_bytes(request) > LARGEST_BYTES:
            return refuse(request, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TOO_LARGE)
        receive = _limited(receive, LARGEST_BYTES)
    if bearer_of(request) is not None:
        return receive  # a browser never sends one of itself: no page can forge it
    try:
        given, receive = await csrf.token_of(request, receive)
    except csrf.TooLargeError:
        return refuse(request, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, TOO_LARGE)
    if not csrf.matches(given, request.state.csrf_token):
        return refuse(request, HTTPStatus.FORBIDDEN, OUT_OF_DATE)
    return receive


def is_open(path: str) -> bool:
    """Return whether an address is there for everybody."""
    return path in OPEN_PATHS or path.startswith(OPEN_FOLDERS)


def bearer_of(request: Request) -> str | None:
    """Return the API token that is sent; no other scheme is one.

    Basic and Negotiate a browser sends of itself, to a proxy before the page for instance: they
    prove nothing here, and excuse no form from its check.
    """
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else None


def identify(request: Request) -> Caller | None:
    """Return who asks: by their API token where one is sent, else by their session."""
    node = node_of(request)
    bearer = bearer_of(request)
    touch: Callable[[Session, str], None]
    with node.database.read() as session:
        if bearer is not None:
            secret, touch = bearer, tokens.touch
            caller = tokens.find(session, secret)
        else:
            secret = session_token(request) or ""
            caller = sessions.find(session, secret, node.config.worklist) if secret else None
            touch = sessions.touch
    if caller is not None and caller.is_stale and not _asks_by_itself(request):
        try:
            with node.database.write() as session:
                touch(session, secret)
        except SQLAlchemyError as error:  # a full disk can still be read from
            log.warning("last use not noted", error=type(error).__name__)
    return caller


def _asks_by_itself(request: Request) -> bool:
    """Return whether a page asks for news that nobody sits before: that must not keep a login."""
    return "text/event-stream" in request.headers.get("accept", "")


def _ask_to_log_in(request: Request) -> Response:
    """Lead a person to the login page; tell a program, or a page's script, that it is unknown."""
    headers = request.headers
    if headers.get("hx-request") == "true":
        address = _login_address(headers.get("hx-current-url", ""))
        return Response(status_code=HTTPStatus.UNAUTHORIZED, headers={"HX-Redirect": address})
    by_script = headers.get("sec-fetch-mode", "navigate") != "navigate"
    if is_for_programs(request.url.path) or by_script or "authorization" in headers:
        answer = refuse(request, HTTPStatus.UNAUTHORIZED, NOT_KNOWN)
        answer.headers["WWW-Authenticate"] = "Bearer"
        return answer
    wanted = str(request.url) if request.method in {"GET", "HEAD"} else ""
    return RedirectResponse(_login_address(wanted), HTTPStatus.SEE_OTHER)


def _login_address(wanted: str) -> str:
    """Return the login page's address, with where to go on from it."""
    try:
        parts = urlsplit(wanted)
    except ValueError:
        return "/login"
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    return f"/login?next={quote(path, safe='/')}" if path not in {"", "/"} else "/login"


def _declared_bytes(request: Request) -> int:
    """Return how large a request says that its body is; 0 where it does not."""
    length = request.headers.get("content-length", "")
    return int(length[:20]) if length.isascii() and length.isdigit() else 0


def _limited(receive: Receive, most_bytes: int) -> Receive:
    """Return what gives a body up to a size, and ends it there as if the sender had gone."""
    size = 0

    async def limited() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        return message if size <= most_bytes else {"type": "http.disconnect"}

    return limited
