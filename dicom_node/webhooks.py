"""Telling other programs that something went wrong, without a word about a patient.

What is to be said is first written down (`NoticeRow`), once for each webhook and occasion, and then
posted until it is taken: at least once, never in the way of a job. The form is that of the Standard
Webhooks specification (https://www.standardwebhooks.com): headers ``webhook-id``,
``webhook-timestamp`` and, with a secret, ``webhook-signature``, the HMAC-SHA256 of
``id.timestamp.body``. Nothing of a reason's text is sent: it may quote a header or a peer.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import httpx
import structlog
from sqlalchemy import select, update

from dicom_node import drift, echoes
from dicom_node.config import webhook_secret
from dicom_node.db import DeliveryRow, EventRow, JobRow, MarkRow, NoticeRow, now
from dicom_node.states import GIVEN_UP, JobState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session

    from dicom_node.config import Webhook
    from dicom_node.node import Node

log = structlog.get_logger()

OVERLAP: Final = timedelta(minutes=10)
"""An event may be committed a little after the moment it names: see `dicom_node.tally.GRACE`."""

FIRST_PAUSE_SECONDS: Final = 10.0
LONGEST_PAUSE_SECONDS: Final = 3600.0
MOST_ATTEMPTS: Final = 32
"""About a day of trying."""

TIMEOUT_SECONDS: Final = 10.0
KEPT: Final = timedelta(days=30)
BATCH: Final = 100

DOWN_AFTER: Final = 2
"""C-ECHOs that fail one after the other: a single one may be a restart."""

NEARLY_FULL: Final = 2
"""With less free space than so many times the reserve, the disk is low."""

SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - a mark, not a secret


class Notice(NamedTuple):
    """What there is to say; no two occasions share a key."""

    key: str
    body: dict[str, Any]


def write_down(node: Node) -> int:
    """Look for what webhooks want to know, and keep it for them; returns the number of notices."""
    written = 0
    for webhook in node.config.webhooks:
        with node.database.write() as session:
            since = _since(session, webhook)
            notices = [n for event in webhook.on for n in _OCCASIONS[event](node, session, since)]
            keys = [notice.key for notice in notices]
            known = set(
                session.scalars(
                    select(NoticeRow.key).where(
                        NoticeRow.url == webhook.url, NoticeRow.key.in_(keys)
                    )
                )
            )
            fresh = [notice for notice in notices if notice.key not in known]
            session.add_all(_row(node, webhook, notice) for notice in fresh)
            written += len(fresh)
    return written


def _row(node: Node, webhook: Webhook, notice: Notice) -> NoticeRow:
    moment = now()
    body = {"node": node.config.node.ae_title, "at": moment.isoformat(), **notice.body}
    return NoticeRow(
        url=webhook.url, key=notice.key, body=body, created_at=moment, next_attempt_at=moment
    )


def _since(session: Session, webhook: Webhook) -> datetime:
    """Return since when events are news to a webhook; to a new one, none of the past are."""
    name = f"webhook {hashlib.sha256(webhook.url.encode()).hexdigest()}"
    mark, moment = session.get(MarkRow, name), now()
    if mark is None:
        session.add(MarkRow(name=name, at=moment))
        return moment
    since, mark.at = mark.at, moment
    return since - OVERLAP


# --- occasions -----------------------------------------------------------------------------------


def _failures(session: Session, since: datetime, source: JobState) -> list[tuple[int, JobRow]]:
    query = (
        select(EventRow.id, JobRow)
        .join(JobRow, JobRow.id == EventRow.job_id)
        .where(
            EventRow.to_state == str(JobState.FAILED),
            EventRow.at >= since,
            EventRow.delivery_id.is_(None),
            EventRow.from_state == str(source),
        )
    )
    return [(row[0], row[1]) for row in session.execute(query)]


def _failed(node: Node, session: Session, since: datetime) -> list[Notice]:
    """Find jobs whose assessment failed."""
    return [
        Notice(
            f"event {event_id}",
            {**_of_job(node, "failed", job.id), "reason": failure_class(job.reason)},
        )
        for event_id, job in _failures(session, since, JobState.RUNNING)
    ]


def failure_class(reason: str | None) -> str:
    """Return the kind of a failed assessment; the text itself may hold what a header says."""
    text = reason or ""
    if text == "the received file is missing":
        return "file_missing"
    return "given_up" if text.startswith("given up after") else "assessment_failed"


def _undelivered(node: Node, session: Session, since: datetime) -> list[Notice]:
    """Find jobs whose results some destination did not take."""
    notices = []
    for event_id, job in _failures(session, since, JobState.REPORTED):
        rows = session.scalars(
            select(DeliveryRow).where(DeliveryRow.job_id == job.id, DeliveryRow.state.in_(GIVEN_UP))
        )
        given_up = [{"name": row.destination, "state": str(row.state)} for row in rows]
        body = {**_of_job(node, "undelivered", job.id), "reason": "not_delivered"}
        notices.append(Notice(f"event {event_id}", {**body, "destinations": given_up}))
    return notices


def _of_job(node: Node, event: str, job_id: int) -> dict[str, Any]:
    page = f"{node.config.page_url}/jobs/{job_id}"
    return {"event": event, "job": job_id, "state": str(JobState.FAILED), "page": page}


def _destination_down(node: Node, session: Session, since: datetime) -> list[Notice]:
    """Find destinations that do not answer; each outage is said once."""
    del since
    names = {destination.name for destination in node.config.destinations}
    return [
        Notice(
            f"down {name} {row.failing_since.isoformat()}",
            {
                "event": "destination_down",
                "destination": name,
                "reason": f"{row.failed_step}_failed",
                "since": row.failing_since.isoformat(),
                "page": f"{node.config.page_url}/dashboard",
            },
        )
        for name, row in echoes.last(session).items()
        if name in names and row.failing_since is not None and row.failures >= DOWN_AFTER
    ]


def _disk_low(node: Node, session: Session, since: datetime) -> list[Notice]:
    """Find whether the disk is nearly full; said once a day."""
    del session, since
    free, reserve = node.storage.free_bytes(), node.storage.reserve_bytes
    if free >= NEARLY_FULL * reserve:
        return []
    body = {
        "event": "disk_low",
        "reason": "below_reserve" if free < reserve else "nearly_full",
        "free_bytes": free,
        "reserve_bytes": reserve,
        "page": f"{node.config.page_url}/dashboard",
    }
    return [Notice(f"disk {now().date().isoformat()}", body)]


def _drift(node: Node, session: Session, since: datetime) -> list[Notice]:
    """Find whether bone ages have moved; said once a week."""
    del since
    found = drift.look(session)
    if not found.alert or found.shift_months is None:
        return []
    body = {
        "event": "drift",
        "reason": "median_moved",
        "shift_months": round(found.shift_months, 1),
        "page": f"{node.config.page_url}/dashboard",
    }
    return [Notice(f"drift {drift.week_words(now())}", body)]


_OCCASIONS: Final = {
    "failed": _failed,
    "undelivered": _undelivered,
    "destination_down": _destination_down,
    "disk_low": _disk_low,
    "drift": _drift,
}


# --- posting -------------------------------------------------------------------------------------


def post_due(node: Node) -> int:
    """Post what is due; returns how many were taken.

    A webhook that cannot be reached is left until the next time, lest others wait behind it.
    """
    _give_up_strangers(node)
    taken = 0
    with httpx.Client(timeout=TIMEOUT_SECONDS, follow_redirects=False) as client:
        for webhook in node.config.webhooks:
            for row in _due(node, webhook):
                if not _claim(node, row):
                    continue
                status = _post(node, client, webhook, row)
                if status is None:
                    break
                taken += httpx.codes.is_success(status)
    return taken


def _due(node: Node, webhook: Webhook) -> Sequence[NoticeRow]:
    """Return what a webhook is to be told now, what has waited longest first."""
    query = select(NoticeRow).where(
        NoticeRow.ended_at.is_(None),
        NoticeRow.next_attempt_at <= now(),
        NoticeRow.url == webhook.url,
    )
    with node.database.read() as session:
        return session.scalars(query.order_by(NoticeRow.next_attempt_at).limit(BATCH)).all()


def _give_up_strangers(node: Node) -> None:
    """Give up what was meant for webhooks that are configured no more."""
    urls = [webhook.url for webhook in node.config.webhooks]
    strangers = update(NoticeRow).where(NoticeRow.ended_at.is_(None), NoticeRow.url.not_in(urls))
    with node.database.write() as session:
        session.execute(strangers.values(ended_at=now()))


def _claim(node: Node, row: NoticeRow) -> bool:
    """Take a notice for one attempt by compare-and-swap; the next is set before it is made."""
    pause = min(FIRST_PAUSE_SECONDS * 2**row.attempts, LONGEST_PAUSE_SECONDS)
    last = row.attempts + 1 >= MOST_ATTEMPTS
    statement = (
        update(NoticeRow)
        .where(
            NoticeRow.id == row.id,
            NoticeRow.attempts == row.attempts,
            NoticeRow.ended_at.is_(None),
        )
        .values(
            attempts=row.attempts + 1,
            next_attempt_at=now() + timedelta(seconds=pause),
            ended_at=now() if last else None,
        )
    )
    with node.database.write() as session:
        return bool(session.execute(statement).rowcount == 1)  # type: ignore[attr-defined]


def _post(node: Node, client: httpx.Client, webhook: Webhook, row: NoticeRow) -> int | None:
    """Post one notice; returns the status of the answer, None where there was none."""
    body = json.dumps(row.body, separators=(",", ":")).encode()
    headers = signed_headers(body, f"notice-{row.id}", webhook_secret(webhook), now())
    status, problem = None, ""
    try:
        status = client.post(row.url, content=body, headers=headers).status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        problem = type(error).__name__
    if status is not None and httpx.codes.is_success(status):
        _end(node, row.id)
    else:  # the address may hold a secret, so it is not logged
        attempt = row.attempts + 1
        log.warning("webhook not reached", notice=row.id, status=status or problem, attempt=attempt)
    return status


def signed_headers(
    body: bytes, message_id: str, secret: str | None, moment: datetime
) -> dict[str, str]:
    """Return the headers of a message; the same id comes with every attempt.

    Parameters
    ----------
    secret : str or None
        ``whsec_`` and base64, as the specification has it, or any text.
    """
    timestamp = str(int(moment.timestamp()))
    headers = {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
    }
    if secret is not None:
        signed = b".".join([message_id.encode(), timestamp.encode(), body])
        digest = hmac.new(_key(secret), signed, hashlib.sha256).digest()
        headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    return headers


def _key(secret: str) -> bytes:
    if secret.startswith(SECRET_PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
        except binascii.Error:
            pass  # any text is a secret
    return secret.encode()


def _end(node: Node, notice_id: int) -> None:
    """Note that a notice was taken."""
    with node.database.write() as session:
        row = session.get_one(NoticeRow, notice_id)
        row.ended_at, row.taken = now(), True


def forget_old(node: Node) -> None:
    """Forget notices that ended long ago."""
    with node.database.write() as session:
        old = select(NoticeRow).where(NoticeRow.ended_at < now() - KEPT).limit(BATCH)
        for row in session.scalars(old):
            session.delete(row)
