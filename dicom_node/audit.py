"""Who did what, and when: one table that is only ever added to.

A job's own moves are its events (`dicom_node.jobs`). Here stands what a person or a program did
beyond them: logins, users, tokens, settings, what was looked at or sent away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from dicom_node.db import AuditRow, now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session


def note(session: Session, actor: str, action: str, subject: str = "", detail: str = "") -> None:
    """Add an entry, in the transaction of what it tells of.

    Parameters
    ----------
    session : Session
        The transaction; with it the entry is kept or lost.
    actor : str
        Who did it: a user's name, or ``command line``.
    action : str
        What was done, as a few words: ``login``, ``role changed``.
    subject : str
        To what: a kind and an id, such as ``job 12`` or ``user anna``. Never what names a patient.
    detail : str
        The rest in a sentence, likewise without a patient.
    """
    entry = AuditRow(at=now(), actor=actor, action=action, subject=subject, detail=detail)
    session.add(entry)


def entries(
    session: Session, *, limit: int, before: int | None = None, actor: str | None = None
) -> Sequence[AuditRow]:
    """Return entries, newest first, of one actor if so asked, with ids below ``before``."""
    query = select(AuditRow).order_by(AuditRow.id.desc()).limit(limit)
    if before is not None:
        query = query.where(AuditRow.id < before)
    if actor is not None:
        query = query.where(AuditRow.actor == actor)
    return session.scalars(query).all()
