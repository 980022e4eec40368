"""Browsers that are logged in. The database keeps only the hash of what their cookie holds."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from sqlalchemy import ColumnElement, delete, or_, select, update

from dicom_node.db import AccountRow, WebSessionRow, now
from worklist.access import Role, User

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from dicom_node.config import WorklistSection

TOKEN_BYTES: Final = 32
TOUCH_SECONDS: Final = 60.0
"""How old a moment of last use may be before it is written anew: not with each request."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody whom a session or an API token has made known.

    Attributes
    ----------
    user : User
        Who they are, with the role that they have now.
    account_id : int
        Their row.
    used_at : datetime or None
        When the session or the token was used before.
    """

    user: User
    account_id: int
    used_at: datetime | None

    @property
    def is_stale(self) -> bool:
        """Return whether the moment of last use should be written."""
        return self.used_at is None or now() - self.used_at > timedelta(seconds=TOUCH_SECONDS)


def sha256_of(token: str) -> str:
    """Return what the database keeps of a token; 256 random bits need no slow hash."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def csrf_token(token: str) -> str:
    """Return what a form of this session must carry; it says nothing of the session's token."""
    return hmac.digest(token.encode("utf-8", "replace"), b"csrf", "sha256").hex()


def begin(session: Session, account_id: int, section: WorklistSection) -> str:
    """Log a browser in, and return the token for its cookie; what has expired is cleared."""
    session.execute(delete(WebSessionRow).where(_expired(section)))
    token = secrets.token_urlsafe(TOKEN_BYTES)
    moment = now()
    row = WebSessionRow(
        token_sha256=sha256_of(token), account_id=account_id, created_at=moment, seen_at=moment
    )
    session.add(row)
    return token


def find(session: Session, token: str, section: WorklistSection) -> Caller | None:
    """Return whose session a token is; None where it has ended or its user is disabled."""
    query = (
        select(AccountRow.id, AccountRow.name, AccountRow.role, WebSessionRow.seen_at)
        .join(AccountRow, AccountRow.id == WebSessionRow.account_id)
        .where(WebSessionRow.token_sha256 == sha256_of(token))
        .where(~_expired(section), AccountRow.disabled_at.is_(None))
    )
    row = session.execute(query).one_or_none()
    return row and Caller(User(row.name, Role.of(row.role)), row.id, row.seen_at)


def touch(session: Session, token: str) -> None:
    """Note that a session is in use."""
    session.execute(
        update(WebSessionRow)
        .where(WebSessionRow.token_sha256 == sha256_of(token))
        .values(seen_at=now())
    )


def end(session: Session, token: str) -> None:
    """End one session."""
    session.execute(delete(WebSessionRow).where(WebSessionRow.token_sha256 == sha256_of(token)))


def end_all(session: Session, account_id: int) -> None:
    """End all sessions of a user."""
    session.execute(delete(WebSessionRow).where(WebSessionRow.account_id == account_id))


def _expired(section: WorklistSection) -> ColumnElement[bool]:
    """Return the condition that a session is too old, or was idle too long."""
    moment = now()
    return or_(
        WebSessionRow.created_at <= moment - timedelta(hours=section.session_hours),
        WebSessionRow.seen_at <= moment - timedelta(minutes=section.idle_minutes),
    )
