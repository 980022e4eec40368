"""The users, for admins: who there is, what they may do, whether they may still log in."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel

from worklist import accounts, passwords, tokens
from worklist.access import ROLE_WORDS, Admin
from worklist.accounts import AccountError
from worklist.forms import role_of, sentence
from worklist.passwords import PasswordError
from worklist.web import READ, NodeOfApp, node_of, page

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.orm import Session

    from dicom_node.db import AccountRow

router = APIRouter()


class PasswordForm(BaseModel):
    """The form for another's password."""

    password: str = ""
    again: str = ""


class UserForm(PasswordForm):
    """The form for a new user."""

    name: str = ""
    role: str = "viewer"


@router.api_route("/users", methods=READ)
def show_users(request: Request, _user: Admin) -> Response:
    """List the users, with what can be done to each."""
    return _users(request)


def _users(request: Request, problem: str = "", status: int = HTTPStatus.OK) -> Response:
    """Return the page, with what was wrong."""
    with node_of(request).database.read() as session:
        everyone = accounts.listed(session)
    context = {
        "accounts": everyone,
        "roles": ROLE_WORDS,
        "problem": problem,
        "least_characters": passwords.LEAST_CHARACTERS,
    }
    return page(request, "users.html", context, status)


@router.post("/users")
def add_user(
    request: Request,
    node: NodeOfApp,
    user: Admin,
    form: Annotated[UserForm, Form()],
) -> Response:
    """Add a user with a first password."""
    name = form.name.strip()
    if form.password != form.again:
        return _users(request, "The passwords differ.", HTTPStatus.BAD_REQUEST)
    try:
        accounts.check_name(name)
        fresh, wanted = passwords.hashed(form.password, name), role_of(form.role)
        with node.database.write() as session:
            accounts.add(session, name, wanted, fresh, actor=user.name)
    except (AccountError, PasswordError) as error:
        return _users(request, sentence(error), HTTPStatus.BAD_REQUEST)
    return RedirectResponse("/users", HTTPStatus.SEE_OTHER)


@router.post("/users/{account_id:int}/role")
def set_role(
    request: Request, user: Admin, account_id: int, role: Annotated[str, Form()] = ""
) -> Response:
    """Give a user another role."""

    def change(session: Session, account: AccountRow) -> None:
        accounts.set_role(session, account, role_of(role), actor=user.name)

    return _changed(request, account_id, change)


@router.post("/users/{account_id:int}/password")
def set_password(
    request: Request,
    user: Admin,
    account_id: int,
    form: Annotated[PasswordForm, Form()],
) -> Response:
    """Give a user another password, who has forgotten theirs."""
    if form.password != form.again:
        return _users(request, "The passwords differ.", HTTPStatus.BAD_REQUEST)
    try:
        with node_of(request).database.read() as session:
            name = accounts.numbered(session, account_id).name
        fresh = passwords.hashed(form.password, name)
    except (AccountError, PasswordError) as error:
        return _users(request, sentence(error), HTTPStatus.BAD_REQUEST)

    def change(session: Session, account: AccountRow) -> None:
        accounts.set_password(session, account, fresh, actor=user.name)

    return _changed(request, account_id, change)


@router.post("/users/{account_id:int}/disable")
def disable_user(request: Request, user: Admin, account_id: int) -> Response:
    """Keep a user out from now on."""
    return _changed(
        request, account_id, lambda session, row: accounts.disable(session, row, actor=user.name)
    )


@router.post("/users/{account_id:int}/enable")
def enable_user(request: Request, user: Admin, account_id: int) -> Response:
    """Let a user in again."""
    return _changed(
        request, account_id, lambda session, row: accounts.enable(session, row, actor=user.name)
    )


@router.post("/users/{account_id:int}/tokens/revoke")
def revoke_tokens(request: Request, user: Admin, account_id: int) -> Response:
    """Revoke all of a user's API tokens."""
    return _changed(
        request, account_id, lambda session, row: tokens.revoke_all(session, row, actor=user.name)
    )


def _changed(
    request: Request, account_id: int, change: Callable[[Session, AccountRow], None]
) -> Response:
    """Change one user, and go back to the list."""
    try:
        with node_of(request).database.write() as session:
            change(session, accounts.numbered(session, account_id))
    except AccountError as error:
        return _users(request, sentence(error), HTTPStatus.BAD_REQUEST)
    return RedirectResponse("/users", HTTPStatus.SEE_OTHER)
