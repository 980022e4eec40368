"""Logging in and out."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from math import ceil
from typing import TYPE_CHECKING, Annotated, Final

import structlog
from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from dicom_node import audit
from dicom_node.db import AccountRow, now
from worklist import accounts, passwords, sessions, throttle
from worklist.access import Viewer
from worklist.commands import first_admin
from worklist.cookies import SESSION, drop_cookie, session_token, set_cookie
from worklist.web import READ, NodeOfApp, node_of, page

if TYPE_CHECKING:
    from dicom_node.node import Node

log = structlog.get_logger()

router = APIRouter()

WRONG: Final = "The name or the password is wrong."
LOGGED_OUT: Final = "You are logged out."


def local_path(wanted: str) -> str:
    """Return an address to go on to, if it is one of this page, else the list's.

    A browser takes two slashes, of either kind, for another host, and drops tabs and line ends.
    """
    if not wanted.startswith("/") or wanted.startswith("//"):
        return "/"
    if "\\" in wanted or any(character <= " " or character == "\x7f" for character in wanted):
        return "/"
    return wanted


@router.api_route("/login", methods=READ)
def show_login(request: Request, node: NodeOfApp, next: str = "/") -> Response:  # noqa: A002
    """Show the form; whoever is logged in already goes on."""
    token = session_token(request)
    with node.database.read() as session:
        known = token and sessions.find(session, token, node.config.worklist)
    if known:
        return RedirectResponse(local_path(next), HTTPStatus.SEE_OTHER)
    return login_form(request, next)


def login_form(
    request: Request, wanted: str, problem: str = "", status: int = HTTPStatus.OK
) -> Response:
    """Return the form, with what was wrong, and the way to the first user where there is none."""
    node = node_of(request)
    with node.database.read() as session:
        empty = not accounts.exist(session)
    context = {
        "next": local_path(wanted),
        "problem": problem,
        "empty": empty,
        "command": first_admin(getattr(request.app.state, "config_file", None)),
        "provider": node.config.worklist.oidc is not None,
    }
    return page(request, "login.html", context, status)


@router.post("/login")
def log_in(
    request: Request,
    node: NodeOfApp,
    name: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "/",  # noqa: A002 - the field's name
) -> Response:
    """Check a name and a password, and begin a session.

    The hash is computed outside of any transaction: it takes a tenth of a second, in which
    nothing else could be written.
    """
    name = name.strip()
    address = request.client.host if request.client else ""
    with node.database.write() as session:
        wait_seconds = throttle.admit(session, name, address)
        account = None if wait_seconds else accounts.found(session, name)
    if wait_seconds:
        return _wait(request, next, wait_seconds)
    stored = account.password_hash if account and account.disabled_at is None else None
    # Without a hash this takes as long: the time must not tell which names there are.
    fits = passwords.fits(stored, password)
    if not fits or account is None or stored is None:
        _note_failure(node, account, address)
        return login_form(request, next, WRONG, HTTPStatus.UNAUTHORIZED)
    fresh = passwords.again(password) if passwords.is_outdated(stored) else None
    with node.database.write() as session:
        account = session.get_one(AccountRow, account.id, with_for_update=True)
        if account.disabled_at is not None or account.password_hash != stored:
            return login_form(request, next, WRONG, HTTPStatus.UNAUTHORIZED)
        account.password_hash = fresh or stored
        throttle.succeeded(session, name, address)
    return welcome(request, account.id, next, f"from {address}")


def welcome(request: Request, account_id: int, wanted: str, how: str) -> Response:
    """Begin a session of a user who has shown who they are; the browser's old one ends."""
    node = node_of(request)
    section = node.config.worklist
    with node.database.write() as session:
        account = session.get_one(AccountRow, account_id)
        account.last_login_at = now()
        old = session_token(request)
        if old is not None:
            sessions.end(session, old)
        token = sessions.begin(session, account.id, section)
        audit.note(session, account.name, "login", f"user {account.name}", how)
    with node.database.write() as session:
        throttle.forget(session)
    answer = RedirectResponse(local_path(wanted), HTTPStatus.SEE_OTHER)
    set_cookie(request, answer, SESSION, token, section.session_hours * 3600)
    return answer


@router.post("/logout")
def log_out(request: Request, node: NodeOfApp, user: Viewer) -> Response:
    """End this browser's session."""
    token = session_token(request)
    with node.database.write() as session:
        if token is not None:
            sessions.end(session, token)
        audit.note(session, user.name, "logout", f"user {user.name}")
    answer = RedirectResponse("/login", HTTPStatus.SEE_OTHER)
    drop_cookie(request, answer, SESSION)
    return answer


def _wait(request: Request, wanted: str, seconds: float) -> Response:
    """Say how long to wait; whether the password was right is not looked at."""
    whole = ceil(seconds)
    text = f"Too many logins have failed. Wait {whole} seconds, then try again."
    answer = login_form(request, wanted, text, HTTPStatus.TOO_MANY_REQUESTS)
    answer.headers["Retry-After"] = str(whole)
    return answer


def _note_failure(node: Node, account: AccountRow | None, address: str) -> None:
    """Note a failed login; a name that is nobody's is not kept: it may be a password."""
    actor = account.name if account else "unknown"
    detail = f"from {address}"
    if account and account.disabled_at:
        detail += f"; disabled since {_day(account.disabled_at)}"
    with node.database.write() as session:
        audit.note(session, actor, "login failed", f"user {actor}", detail)
    log.warning("login failed", user=actor, address=address)


def _day(moment: datetime) -> str:
    return moment.date().isoformat()
