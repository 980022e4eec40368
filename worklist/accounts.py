"""The users of the page: who they are, what they may do, whether they still may.

Each function works in the caller's transaction and notes in the audit what it did.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from dicom_node import audit
from dicom_node.db import AccountRow, ApiTokenRow, now
from dicom_node.errors import NodeError
from dicom_node.jobs import LARGEST_ID
from worklist import sessions
from worklist.access import Role

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

NAME: Final = re.compile(r"[\w@+-][\w.@+-]{0,63}")
RESERVED: Final = frozenset({"local", "node"})
"""Actors of events that are no users."""


class AccountError(NodeError):
    """What was asked of an account cannot be."""

    exit_code = 2


class NoSuchUserError(AccountError):
    """No user has this name or id."""

    exit_code = 4


class LastAdminError(AccountError):
    """Without this one, nobody could manage the users any more."""

    exit_code = 5


@dataclass(frozen=True, slots=True)
class Vouched:
    """Whom an OpenID provider vouches for: its own address, and its lasting id of the user."""

    issuer: str
    subject: str


def key_of(name: str) -> str:
    """Return a name without its case, and in one form of those that look alike."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def check_name(name: str) -> None:
    """Check a new name.

    Raises
    ------
    AccountError
        If it is empty, too long, has spaces or signs, or is an actor that is no user.
    """
    if not NAME.fullmatch(name) or key_of(name) in RESERVED:
        msg = "a name has 1 to 64 letters, digits or any of . _ @ + -, and is not local or node"
        raise AccountError(msg)


def exist(session: Session) -> bool:
    """Return whether there is any user."""
    return session.scalar(select(AccountRow.id).limit(1)) is not None


def listed(session: Session) -> Sequence[AccountRow]:
    """Return all users by name."""
    return session.scalars(select(AccountRow).order_by(AccountRow.key)).all()


def found(session: Session, name: str) -> AccountRow | None:
    """Return a user by name, whatever its case."""
    return session.scalar(select(AccountRow).where(AccountRow.key == key_of(name)[:128]))


def vouched(session: Session, known_by: Vouched) -> AccountRow | None:
    """Return the user whom a provider means."""
    query = select(AccountRow).where(
        AccountRow.issuer == known_by.issuer, AccountRow.issuer_subject == known_by.subject
    )
    return session.scalar(query)


def named(session: Session, name: str) -> AccountRow:
    """Return a user by name.

    Raises
    ------
    NoSuchUserError
        If there is none.
    """
    account = found(session, name)
    if account is None:
        msg = "there is no user of this name"
        raise NoSuchUserError(msg)
    return account


def numbered(session: Session, account_id: int) -> AccountRow:
    """Return a user by id.

    Raises
    ------
    NoSuchUserError
        If there is none.
    """
    account = session.get(AccountRow, account_id) if account_id <= LARGEST_ID else None
    if account is None:
        msg = f"there is no user {account_id}"
        raise NoSuchUserError(msg)
    return account


def add(
    session: Session, name: str, role: Role, known_by: str | Vouched, *, actor: str
) -> AccountRow:
    """Add a user, known by the hash of a password, or by a provider.

    Raises
    ------
    AccountError
        If the name cannot be one, or is taken.
    """
    check_name(name)
    account = AccountRow(
        name=name,
        key=key_of(name),
        role=role.word,
        password_hash=known_by if isinstance(known_by, str) else None,
        issuer=known_by.issuer if isinstance(known_by, Vouched) else None,
        issuer_subject=known_by.subject if isinstance(known_by, Vouched) else None,
        created_at=now(),
    )
    try:
        with session.begin_nested():
            session.add(account)
    except IntegrityError as error:
        msg = "a user of this name exists"
        raise AccountError(msg) from error
    audit.note(session, actor, "user added", _subject(account), f"as {role.word}")
    return account


def set_role(session: Session, account: AccountRow, role: Role, *, actor: str) -> None:
    """Give a user another role; it holds from their next request on.

    Raises
    ------
    LastAdminError
        If they are the last admin who can log in.
    AccountError
        If a provider says their role, and would say it again at the next login.
    """
    if account.role == role.word:
        return
    if account.issuer is not None:
        msg = "this user's role is what the OpenID provider says; change it there"
        raise AccountError(msg)
    _keep_an_admin(session, account)
    _put_role(session, account, role, actor)


def follow_provider(session: Session, account: AccountRow, role: Role) -> None:
    """Give a user the role that the provider says, even to the last admin: it knows who left."""
    if account.role != role.word:
        _put_role(session, account, role, "OpenID provider")


def _put_role(session: Session, account: AccountRow, role: Role, actor: str) -> None:
    """Write a role, and note it."""
    old, account.role = account.role, role.word
    audit.note(session, actor, "role changed", _subject(account), f"from {old} to {role.word}")


def set_password(session: Session, account: AccountRow, password_hash: str, *, actor: str) -> None:
    """Give a user another password, and end all of their sessions.

    Raises
    ------
    AccountError
        If a provider vouches for them: two ways in are one too many to close.
    """
    if account.issuer is not None:
        msg = "this user logs in by the OpenID provider and has no password here"
        raise AccountError(msg)
    account.password_hash = password_hash
    sessions.end_all(session, account.id)
    audit.note(session, actor, "password changed", _subject(account))


def disable(session: Session, account: AccountRow, *, actor: str) -> None:
    """Keep a user out from now on: sessions end, API tokens are revoked.

    Raises
    ------
    LastAdminError
        If they are the last admin who can log in.
    """
    if account.disabled_at is not None:
        return
    _keep_an_admin(session, account)
    account.disabled_at = now()
    sessions.end_all(session, account.id)
    tokens = update(ApiTokenRow).where(
        ApiTokenRow.account_id == account.id, ApiTokenRow.revoked_at.is_(None)
    )
    session.execute(tokens.values(revoked_at=now()))
    audit.note(session, actor, "user disabled", _subject(account))


def enable(session: Session, account: AccountRow, *, actor: str) -> None:
    """Let a user in again; their old API tokens stay revoked."""
    if account.disabled_at is None:
        return
    account.disabled_at = None
    audit.note(session, actor, "user enabled", _subject(account))


def _keep_an_admin(session: Session, account: AccountRow) -> None:
    """Check that another admin is left if this one goes; two who go at once are one too many.

    The rows of all admins are locked, so that of two demotions at once the second sees the first.
    """
    admins = session.scalars(
        select(AccountRow.id)
        .where(AccountRow.role == Role.ADMIN.word, AccountRow.disabled_at.is_(None))
        .order_by(AccountRow.id)
        .with_for_update()
    ).all()
    if set(admins) == {account.id}:
        msg = "this is the last admin; make another one first"
        raise LastAdminError(msg)


def _subject(account: AccountRow) -> str:
    """Return how the audit names a user."""
    return f"user {account.name}"
