"""The users, one's own API tokens and the audit, for programs."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Body, Path, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from dicom_node import audit
from dicom_node.db import AccountRow, ApiTokenRow
from dicom_node.jobs import LARGEST_ID
from worklist import accounts, passwords, tokens
from worklist.access import Admin, Role, Viewer
from worklist.accounts import AccountError, NoSuchUserError
from worklist.audit_page import PAGE_SIZE, Actor, Before
from worklist.passwords import PasswordError
from worklist.tokens import NewToken
from worklist.web import NodeOfApp

router = APIRouter(prefix="/api", tags=["access"])

RoleWord = Literal["viewer", "operator", "admin"]
Id = Annotated[int, Path(ge=1, le=LARGEST_ID)]


class _Value(BaseModel):
    """A frozen answer or request."""

    model_config = ConfigDict(frozen=True, from_attributes=True, extra="forbid")


class UserAnswer(_Value):
    """A user; ``disabled_at`` is since when they are kept out."""

    id: int
    name: str
    role: str
    created_at: datetime
    disabled_at: datetime | None
    last_login_at: datetime | None


class UserRequest(_Value):
    """A user to be made."""

    name: str
    role: RoleWord
    password: str


class UserChange(_Value):
    """What of a user is to change; what is left out stays."""

    role: RoleWord | None = None
    password: str | None = None
    disabled: bool | None = None


class TokenAnswer(_Value):
    """An API token; its secret is told only when it is made."""

    id: int
    name: str
    role: str
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


class TokenRequest(_Value):
    """A token to be made for oneself."""

    name: str
    role: RoleWord = "viewer"
    days: int = Field(default=90, ge=1, le=tokens.MOST_DAYS)


class NewTokenAnswer(TokenAnswer):
    """A new token with its secret, which is not told again."""

    secret: str


class AuditAnswer(_Value):
    """One entry of the audit."""

    id: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: str


class Revoked(_Value):
    """That a token is good for nothing any more."""

    revoked: Literal[True]


REFUSED: Final[dict[int | str, dict[str, Any]]] = {
    400: {"description": "A name, a password or a role that cannot be."}
}


@router.get("/users")
def list_users(node: NodeOfApp, _user: Admin) -> list[UserAnswer]:
    """List the users by name."""
    with node.database.read() as session:
        return [UserAnswer.model_validate(row) for row in accounts.listed(session)]


@router.post("/users", status_code=HTTPStatus.CREATED, response_model=UserAnswer, responses=REFUSED)
def add_user(
    node: NodeOfApp, user: Admin, given: Annotated[UserRequest, Body()]
) -> UserAnswer | JSONResponse:
    """Add a user."""
    try:
        accounts.check_name(given.name)
        fresh = passwords.hashed(given.password, given.name)
        with node.database.write() as session:
            role = Role.of(given.role)
            row = accounts.add(session, given.name, role, fresh, actor=user.name)
    except (AccountError, PasswordError) as error:
        return _refused(error)
    return UserAnswer.model_validate(row)


@router.patch("/users/{account_id}", response_model=UserAnswer, responses=REFUSED)
def change_user(
    node: NodeOfApp, user: Admin, account_id: Id, given: Annotated[UserChange, Body()]
) -> UserAnswer | JSONResponse:
    """Change a user's role or password, disable or enable them; all of it, or nothing."""
    try:
        fresh = None
        if given.password is not None:
            with node.database.read() as session:
                name = accounts.numbered(session, account_id).name
            fresh = passwords.hashed(given.password, name)
        with node.database.write() as session:
            row = accounts.numbered(session, account_id)
            if given.role is not None:
                accounts.set_role(session, row, Role.of(given.role), actor=user.name)
            if fresh is not None:
                accounts.set_password(session, row, fresh, actor=user.name)
            if given.disabled is not None:
                change = accounts.disable if given.disabled else accounts.enable
                change(session, row, actor=user.name)
    except (AccountError, PasswordError) as error:
        return _refused(error)
    return UserAnswer.model_validate(row)


@router.get("/account/tokens")
def list_tokens(request: Request, node: NodeOfApp, _user: Viewer) -> list[TokenAnswer]:
    """List one's own API tokens, newest first."""
    with node.database.read() as session:
        rows = tokens.listed(session, request.state.account_id)
        return [TokenAnswer.model_validate(row) for row in rows]


@router.post(
    "/account/tokens",
    status_code=HTTPStatus.CREATED,
    response_model=NewTokenAnswer,
    responses=REFUSED,
)
def make_token(
    request: Request, node: NodeOfApp, user: Viewer, given: Annotated[TokenRequest, Body()]
) -> NewTokenAnswer | JSONResponse:
    """Make an API token for oneself, with a role that is at most that of this request."""
    role = Role.of(given.role)
    try:
        if role > user.role:
            msg = f"a token's role is at most its maker's: {user.role.word}"
            raise AccountError(msg)  # noqa: TRY301 - answered as the others
        with node.database.write() as session:
            account: AccountRow = accounts.numbered(session, request.state.account_id)
            wanted = NewToken(given.name, role, given.days)
            row, secret = tokens.create(session, account, wanted, actor=user.name)
    except AccountError as error:
        return _refused(error)
    return NewTokenAnswer(**_token(row).model_dump(), secret=secret)


@router.delete("/account/tokens/{token_id}", response_model=Revoked)
def revoke_token(
    request: Request, node: NodeOfApp, user: Viewer, token_id: Id
) -> Revoked | JSONResponse:
    """Revoke one of one's own API tokens."""
    try:
        with node.database.write() as session:
            account = accounts.numbered(session, request.state.account_id)
            tokens.revoke(session, account, token_id, actor=user.name)
    except AccountError as error:
        return JSONResponse({"detail": str(error)}, HTTPStatus.NOT_FOUND)
    return Revoked(revoked=True)


@router.get("/audit")
def list_audit(
    node: NodeOfApp, _user: Admin, before: Before = None, actor: Actor = ""
) -> list[AuditAnswer]:
    """List up to 100 entries, newest first; ``before`` is the last id of the answer before."""
    with node.database.read() as session:
        rows = audit.entries(session, limit=PAGE_SIZE, before=before, actor=actor.strip() or None)
    return [AuditAnswer.model_validate(row) for row in rows]


def _token(row: ApiTokenRow) -> TokenAnswer:
    return TokenAnswer.model_validate(row)


def _refused(error: AccountError | PasswordError) -> JSONResponse:
    """Answer what cannot be, in plain words."""
    missing = isinstance(error, NoSuchUserError)
    status = HTTPStatus.NOT_FOUND if missing else HTTPStatus.BAD_REQUEST
    return JSONResponse({"detail": str(error)}, status)
