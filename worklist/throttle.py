"""Logins that fail make the next ones wait, by name and by address, for all processes alike."""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError

from dicom_node.db import LoginFailureRow, now
from worklist.accounts import key_of

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

FORGET_AFTER: Final = timedelta(hours=1)
"""So long after the last failure a name or an address begins anew."""


@dataclass(frozen=True, slots=True)
class Limit:
    """How many failures are free, and the longest pause after that; pauses double from 1 s."""

    free: int
    most_seconds: int

    def pause(self, failures: int) -> timedelta:
        """Return how long to wait after so many failures."""
        beyond = failures - self.free
        if beyond < 0:
            return timedelta()
        return timedelta(seconds=min(2 ** min(beyond, 16), self.most_seconds))


BY_NAME: Final = Limit(free=5, most_seconds=60)
"""A minute at most: whoever would lock a user out by failing on purpose must not keep them out."""

BY_ADDRESS: Final = Limit(free=20, most_seconds=900)
"""A hospital may stand behind one address, and guess a name each."""


def name_key(name: str) -> str:
    """Return the key of a name; hashed, for now and then a password is typed in its place."""
    return "name:" + hashlib.sha256(key_of(name).encode("utf-8", "replace")).hexdigest()


def address_key(address: str) -> str:
    """Return the key of an address; of IPv6 the network: a machine there has 2^64 addresses."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return f"address:{address[:64]}"
    if isinstance(parsed, ipaddress.IPv6Address):
        mapped = parsed.ipv4_mapped
        return f"address:{mapped or ipaddress.ip_network((parsed, 64), strict=False)}"
    return f"address:{parsed}"


def admit(session: Session, name: str, address: str) -> float:
    """Count an attempt, as failed until `succeeded` says otherwise; many at once gain nothing.

    Returns
    -------
    float
        Seconds to wait before the next attempt will be looked at; 0 where this one is.
    """
    moment = now()
    # Always in this order, by which two attempts cannot wait for each other.
    rows = [
        (_row(session, address_key(address), moment), BY_ADDRESS),
        (_row(session, name_key(name), moment), BY_NAME),
    ]
    wait = max((row.blocked_until - moment).total_seconds() for row, _ in rows)
    if wait > 0:
        return wait
    for row, limit in rows:
        row.failures = 1 if row.last_at < moment - FORGET_AFTER else row.failures + 1
        row.last_at = moment
        row.blocked_until = moment + limit.pause(row.failures)
    return 0.0


def succeeded(session: Session, name: str, address: str) -> None:
    """Forget the failures of a name that has logged in, and take back this attempt's count."""
    row = session.get(LoginFailureRow, address_key(address), with_for_update=True)
    if row is not None:
        row.failures = max(row.failures - 1, 0)
        row.blocked_until = now()
    session.execute(delete(LoginFailureRow).where(LoginFailureRow.key == name_key(name)))


def forget(session: Session) -> None:
    """Clear what no longer counts; in a transaction of its own, that holds up nobody."""
    session.execute(delete(LoginFailureRow).where(LoginFailureRow.last_at < now() - FORGET_AFTER))


def _row(session: Session, key: str, moment: datetime) -> LoginFailureRow:
    """Return the locked row of a key; a new one blocks nothing."""
    row = session.get(LoginFailureRow, key, with_for_update=True)
    if row is not None:
        return row
    row = LoginFailureRow(key=key, failures=0, last_at=moment, blocked_until=moment)
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:  # another attempt was quicker
        row = session.get_one(LoginFailureRow, key, with_for_update=True)
    return row
