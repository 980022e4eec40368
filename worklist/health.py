"""Whether the node can do its work: what runs, what is missing, and why, in plain words."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from starlette.datastructures import State as Kept

from dicom_node.broker import Broker
from dicom_node.db import Database, HeartbeatRow, now
from dicom_node.node import HEARTBEAT_SECONDS, Node
from dicom_node.storage import Storage

State = Literal["ok", "warning", "down"]
SEVERITY: Final[tuple[State, ...]] = ("ok", "warning", "down")

BEATS_MISSED: Final = 3
"""So many beats late, a process counts as gone."""

RECENT_SECONDS: Final = 5.0
"""A list need not ask the broker and the disk more often."""

NEARLY_FULL: Final = 2
"""With less free space than so many times the reserve, the disk is a warning."""


@dataclass(frozen=True, slots=True)
class Check:
    """What was found of one part.

    Attributes
    ----------
    state : "ok", "warning" or "down"
        ``down`` where the node cannot do its work for want of this part.
    reason : str
        Why, in plain words.
    """

    state: State
    reason: str


@dataclass(frozen=True, slots=True)
class Health:
    """What was found of every part.

    Attributes
    ----------
    database, broker, assess, send, listener, sweeper, disk : Check
        The parts; ``assess`` and ``send`` are the two kinds of workers.
    """

    database: Check
    broker: Check
    assess: Check
    send: Check
    listener: Check
    sweeper: Check
    disk: Check

    @property
    def parts(self) -> dict[str, Check]:
        """Return every part by its name."""
        return {
            "database": self.database,
            "broker": self.broker,
            "assess workers": self.assess,
            "send workers": self.send,
            "listener": self.listener,
            "sweeper": self.sweeper,
            "disk": self.disk,
        }

    @property
    def state(self) -> State:
        """Return the worst state of all."""
        return worst(list(self.parts.values()))

    def as_values(self) -> dict[str, Any]:
        """Return what ``GET /healthz`` answers."""
        workers = [self.assess, self.send]
        return {
            "state": self.state,
            "database": _values(self.database),
            "broker": _values(self.broker),
            "workers": {
                "state": worst(workers),
                "reason": f"assess: {self.assess.reason}; send: {self.send.reason}",
                "assess": _values(self.assess),
                "send": _values(self.send),
            },
            "listener": _values(self.listener),
            "sweeper": _values(self.sweeper),
            "disk": _values(self.disk),
        }


def worst(checks: list[Check]) -> State:
    """Return the worst state among checks."""
    return SEVERITY[max(SEVERITY.index(check.state) for check in checks)]


def _values(check: Check) -> dict[str, str]:
    return {"state": check.state, "reason": check.reason}


def check_node(node: Node) -> Health:
    """Look at every part of the node; reads only.

    Heartbeats are those of every host that works on this database.
    """
    config, (database, beats) = node.config, _read_beats(node.database)
    sweep_seconds = config.leases.sweep_seconds
    assess = (
        _check_beats(beats, "assess", config.inference.workers, HEARTBEAT_SECONDS)
        if config.inference.workers
        else _check_foreign_assess(beats)
    )
    return Health(
        database=database,
        broker=_check_broker(node.broker),
        assess=assess,
        send=_check_beats(beats, "send", 1, HEARTBEAT_SECONDS),
        listener=_check_beats(beats, "listen", config.node.listeners, HEARTBEAT_SECONDS),
        sweeper=_check_beats(beats, "sweep", 1, sweep_seconds),
        disk=_check_disk(node.storage),
    )


def recent_health(kept: Kept, node: Node) -> Health:
    """Return what was found of the node at most `RECENT_SECONDS` ago: every list shows it.

    Parameters
    ----------
    kept : starlette.datastructures.State
        Of the application: what was found last stays there.
    node : Node
        Is looked at where that is too old.
    """
    looked_at, found = getattr(kept, "health", (-RECENT_SECONDS, None))
    if isinstance(found, Health) and time.monotonic() - looked_at < RECENT_SECONDS:
        return found
    found = check_node(node)
    kept.health = (time.monotonic(), found)
    return found


@dataclass(frozen=True, slots=True)
class _Beat:
    """The last heartbeat of one process."""

    part: str
    silent_seconds: float
    detail: str


def _read_beats(database: Database) -> tuple[Check, list[_Beat] | None]:
    """Return how the database is, and the heartbeats in it; None where it cannot be read."""
    try:
        with database.read() as session:
            rows = session.scalars(select(HeartbeatRow)).all()
    except SQLAlchemyError as error:
        reason = (
            f"it cannot be read ({type(error).__name__}); try `python -m dicom_node db upgrade`"
        )
        return Check("down", reason), None
    moment = now()
    beats = [_Beat(row.part, _silence_seconds(row.at, moment), row.detail) for row in rows]
    return Check("ok", "it answers"), beats


def _silence_seconds(at: datetime, moment: datetime) -> float:
    """Return how long ago a beat came; another host's clock may be ahead of ours."""
    return max(0.0, (moment - at).total_seconds())


def _check_beats(
    beats: list[_Beat] | None, part: str, wanted: int, interval_seconds: float
) -> Check:
    """Judge one kind of process by its heartbeats.

    Parameters
    ----------
    beats : list or None
        All heartbeats; None where the database is away.
    part : str
        Whose beats count: ``listen``, ``assess``, ``send`` or ``sweep``.
    wanted : int
        How many processes of this kind the configuration asks for.
    interval_seconds : float
        How often each of them writes a beat.
    """
    if beats is None:
        return Check("warning", "not known: heartbeats are kept in the database")
    own = sorted((b for b in beats if b.part == part), key=lambda b: b.silent_seconds)
    if not own:
        return Check("down", "it has not been heard from at all")
    last = f"the last beat came {own[0].silent_seconds:.0f} s ago"
    patience = BEATS_MISSED * max(interval_seconds, HEARTBEAT_SECONDS)
    alive = sum(beat.silent_seconds <= patience for beat in own)
    if not alive:
        return Check("down", f"{last}, one is due every {interval_seconds:g} s")
    if alive < wanted:
        return Check("warning", f"only {alive} of {wanted} processes run; {last}")
    detail = f" ({own[0].detail})" if own[0].detail else ""
    return Check("ok", f"{last}{detail}")


def _check_foreign_assess(beats: list[_Beat] | None) -> Check:
    """Judge the assess workers of a node that starts none itself."""
    found = _check_beats(beats, "assess", 1, HEARTBEAT_SECONDS)
    if found.state != "down":
        return found
    return Check("ok", "none runs, and none is asked for (inference.workers is 0)")


def _check_broker(broker: Broker) -> Check:
    """Ask the broker how many ids wait."""
    assess, send = broker.depth("assess"), broker.depth("send")
    if assess is None or send is None:
        reason = "it does not answer; the sweeper hands over what waits once it is back"
        return Check("down", reason)
    return Check("ok", f"it answers; waiting there: {assess} to assess, {send} to send")


def _check_disk(storage: Storage) -> Check:
    """Compare the free space with the reserve below which nothing is taken in."""
    try:
        free = storage.free_bytes()
    except OSError as error:
        return Check("down", f"the data directory cannot be read ({type(error).__name__})")
    reserve = storage.reserve_bytes
    words = f"{_gigabytes(free)} free, {_gigabytes(reserve)} kept in reserve"
    if free < reserve:
        return Check("down", f"{words}: radiographs are turned away until there is more")
    if free < NEARLY_FULL * reserve:
        return Check("warning", f"{words}: nearly full")
    return Check("ok", words)


def _gigabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f} GB"
