"""A user's own page: their password and their API tokens."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel

from dicom_node.db import now
from worklist import accounts, passwords, sessions, throttle, tokens
from worklist.access import Role, Viewer
from worklist.accounts import AccountError
from worklist.cookies import SESSION, set_cookie
from worklist.forms import role_of, sentence
from worklist.passwords import PasswordError
from worklist.tokens import NewToken
from worklist.web import READ, NodeOfApp, node_of, page

router = APIRouter()

DEFAULT_DAYS = 90


class OwnPassword(BaseModel):
    """The form for one's own password."""

    old: str = ""
    new: str = ""
    again: str = ""


class TokenForm(BaseModel):
    """The form for a new token."""

    name: str = ""
    role: str = "viewer"
    days: str = str(DEFAULT_DAYS)


@router.api_route("/account", methods=READ)
def show_account(request: Request, _user: Viewer) -> Response:
    """Show a user what there is of them, and nobody else's."""
    return _account(request)


def _account(request: Request, status: int = HTTPStatus.OK, **said: str) -> Response:
    """Return the page, with what was done or was wrong."""
    with node_of(request).database.read() as session:
        account = accounts.numbered(session, request.state.account_id)
        made = tokens.listed(session, account.id)
    role = Role.of(account.role)
    context: dict[str, Any] = {
        "account": account,
        "tokens": [token for token in made if token.revoked_at is None],
        "roles": [one.word for one in Role if one <= role],
        "days": DEFAULT_DAYS,
        "most_days": tokens.MOST_DAYS,
        "least_characters": passwords.LEAST_CHARACTERS,
        "now": now(),
        "problem": "",
        "done": "",
        "secret": "",
    }
    return page(request, "account.html", {**context, **said}, status)


@router.post("/account/password")
def change_password(
    request: Request,
    node: NodeOfApp,
    user: Viewer,
    form: Annotated[OwnPassword, Form()],
) -> Response:
    """Change one's own password: all sessions end, and this browser begins a new one."""
    if form.new != form.again:
        return _account(request, HTTPStatus.BAD_REQUEST, problem="The new passwords differ.")
    account_id = request.state.account_id
    address = request.client.host if request.client else ""
    with node.database.write() as session:
        # A stolen session must not serve to guess the password.
        wait_seconds = throttle.admit(session, user.name, address)
        stored = accounts.numbered(session, account_id).password_hash
    if wait_seconds:
        text = f"Too many tries have failed. Wait {wait_seconds:.0f} seconds."
        return _account(request, HTTPStatus.TOO_MANY_REQUESTS, problem=text)
    if not passwords.fits(stored, form.old):
        return _account(request, HTTPStatus.BAD_REQUEST, problem="The old password is wrong.")
    try:
        fresh = passwords.hashed(form.new, user.name)
    except PasswordError as error:
        return _account(request, HTTPStatus.BAD_REQUEST, problem=sentence(error))
    with node.database.write() as session:
        account = accounts.numbered(session, account_id)
        accounts.set_password(session, account, fresh, actor=user.name)
        throttle.succeeded(session, user.name, address)
        token = sessions.begin(session, account_id, node.config.worklist)
    answer = RedirectResponse("/account", HTTPStatus.SEE_OTHER)
    set_cookie(request, answer, SESSION, token, node.config.worklist.session_hours * 3600)
    return answer


@router.post("/account/tokens")
def make_token(
    request: Request,
    node: NodeOfApp,
    user: Viewer,
    form: Annotated[TokenForm, Form()],
) -> Response:
    """Make a token and show it, this once: no redirect, for nothing keeps it."""
    try:
        with node.database.write() as session:
            account = accounts.numbered(session, request.state.account_id)
            wanted = NewToken(form.name, _role(form.role, user.role), _days(form.days))
            _, secret = tokens.create(session, account, wanted, actor=user.name)
    except AccountError as error:
        return _account(request, HTTPStatus.BAD_REQUEST, problem=sentence(error))
    return _account(request, HTTPStatus.CREATED, secret=secret)


@router.post("/account/tokens/{token_id:int}/revoke")
def revoke_token(request: Request, node: NodeOfApp, user: Viewer, token_id: int) -> Response:
    """Revoke one of one's own tokens."""
    try:
        with node.database.write() as session:
            account = accounts.numbered(session, request.state.account_id)
            tokens.revoke(session, account, token_id, actor=user.name)
    except AccountError as error:
        return _account(request, HTTPStatus.NOT_FOUND, problem=sentence(error))
    return RedirectResponse("/account", HTTPStatus.SEE_OTHER)


def _role(word: str, most: Role) -> Role:
    """Return the role that a form names; who came by a token gets none above that token's."""
    role = role_of(word)
    if role > most:
        msg = f"a token's role is at most its maker's: {most.word}"
        raise AccountError(msg)
    return role


def _days(text: str) -> int:
    """Return the number of days that a form names."""
    if not text.isascii() or not text.isdigit() or len(text) > 6:  # noqa: PLR2004
        msg = f"a token is valid for 1 to {tokens.MOST_DAYS} days"
        raise AccountError(msg)
    return int(text)
