"""API tokens: what a program shows in place of a password. The database keeps only their hashes."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from sqlalchemy import select, update

from dicom_node import audit
from dicom_node.db import AccountRow, ApiTokenRow, now
from dicom_node.jobs import LARGEST_ID
from worklist.access import Role, User
from worklist.accounts import AccountError
from worklist.sessions import Caller, sha256_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

PREFIX: Final = "boneage_"
"""By which a scanner for secrets, or a person, knows one where it should not be."""

TOKEN_BYTES: Final = 32
LONGEST_NAME: Final = 64
MOST_DAYS: Final = 3650
MOST_EACH: Final = 100
"""Tokens that a user may have at once."""


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that is asked for: what it is for, what it may do, how many days it is valid."""

    name: str
    role: Role
    days: int


def create(
    session: Session, account: AccountRow, wanted: NewToken, *, actor: str
) -> tuple[ApiTokenRow, str]:
    """Make a token, and return it with its secret, which nobody can be shown again.

    Raises
    ------
    AccountError
        If the role is above the user's, or a value cannot be.
    """
    _check(session, account, wanted)
    secret = PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    row = ApiTokenRow(
        account_id=account.id,
        name=wanted.name.strip(),
        token_sha256=sha256_of(secret),
        role=wanted.role.word,
        created_at=now(),
        expires_at=now() + timedelta(days=wanted.days),
    )
    session.add(row)
    session.flush()
    detail = f"{wanted.role.word}, {wanted.days} days, of user {account.name}"
    audit.note(session, actor, "token made", f"token {row.id}", detail)
    return row, secret


def _check(session: Session, account: AccountRow, wanted: NewToken) -> None:
    """Check that a user may have a token."""
    problem = ""
    name = wanted.name.strip()
    if wanted.role > Role.of(account.role):
        problem = f"a token's role is at most its user's: {account.role}"
    elif account.disabled_at is not None:
        problem = "this user is disabled"
    elif not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        problem = f"a token's name has 1 to {LONGEST_NAME} characters"
    elif not 1 <= wanted.days <= MOST_DAYS:
        problem = f"a token is valid for 1 to {MOST_DAYS} days"
    elif sum(row.revoked_at is None for row in listed(session, account.id)) >= MOST_EACH:
        problem = f"a user has at most {MOST_EACH} tokens; revoke one first"
    if problem:
        raise AccountError(problem)


def listed(session: Session, account_id: int) -> Sequence[ApiTokenRow]:
    """Return a user's tokens, newest first."""
    query = select(ApiTokenRow).where(ApiTokenRow.account_id == account_id)
    return session.scalars(query.order_by(ApiTokenRow.id.desc())).all()


def revoke(session: Session, account: AccountRow, token_id: int, *, actor: str) -> None:
    """Revoke one of a user's tokens; once is enough.

    Raises
    ------
    AccountError
        If the user has no such token.
    """
    row = session.get(ApiTokenRow, token_id) if token_id <= LARGEST_ID else None
    if row is None or row.account_id != account.id:
        msg = "there is no such token"
        raise AccountError(msg)
    if row.revoked_at is None:
        row.revoked_at = now()
        detail = f"of user {account.name}"
        audit.note(session, actor, "token revoked", f"token {row.id}", detail)


def revoke_all(session: Session, account: AccountRow, *, actor: str) -> None:
    """Revoke all of a user's tokens."""
    for row in listed(session, account.id):
        revoke(session, account, row.id, actor=actor)


def find(session: Session, secret: str) -> Caller | None:
    """Return whose token a secret is, with the lesser of both roles; None where it is not valid."""
    query = (
        select(AccountRow.id, AccountRow.name, AccountRow.role, ApiTokenRow.last_used_at)
        .add_columns(ApiTokenRow.role.label("token_role"))
        .join(AccountRow, AccountRow.id == ApiTokenRow.account_id)
        .where(ApiTokenRow.token_sha256 == sha256_of(secret))
        .where(ApiTokenRow.revoked_at.is_(None), ApiTokenRow.expires_at > now())
        .where(AccountRow.disabled_at.is_(None))
    )
    row = session.execute(query).one_or_none()
    if row is None:
        return None
    role = min(Role.of(row.role), Role.of(row.token_role))
    return Caller(User(row.name, role), row.id, row.last_used_at)


def touch(session: Session, secret: str) -> None:
    """Note that a token is in use."""
    session.execute(
        update(ApiTokenRow)
        .where(ApiTokenRow.token_sha256 == sha256_of(secret))
        .values(last_used_at=now())
    )
