"""Months of a busy node, written straight into its database: for the dashboard and for bench/."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import insert

from dicom_node.db import DeliveryRow, EventRow, HeartbeatRow, InstanceRow, JobRow, Table, now
from dicom_node.states import DeliveryState, JobState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from dicom_node.node import Node

BATCH: Final = 2000
Rows = dict[type[Table], list[dict[str, Any]]]
ORDER: Final = (InstanceRow, JobRow, DeliveryRow, EventRow)


def write_history(
    node: Node, jobs: int, days: float, *, recent_shift_months: float = 0.0, seed: int = 1
) -> None:
    """Write jobs evenly over some days up to now; those of the last 4 weeks may be shifted."""
    chance = random.Random(seed)
    moment = now()
    rows: Rows = {table: [] for table in ORDER}
    for number in range(1, jobs + 1):
        at = moment - timedelta(days=days * (1 - number / (jobs + 1)))
        shift = recent_shift_months if moment - at < timedelta(weeks=4) else 0.0
        _write_job(rows, number, at, chance, shift)
        if number % BATCH == 0 or number == jobs:
            with node.database.write() as session:
                for table in ORDER:
                    if rows[table]:
                        session.execute(insert(table), rows[table])
                        rows[table].clear()


def _write_job(
    rows: Rows, number: int, at: datetime, chance: random.Random, shift_months: float
) -> None:
    draw = chance.random()
    end = JobState.REJECTED if draw < 0.06 else JobState.FAILED if draw < 0.08 else JobState.SENT
    steps = list(_steps(end, at, chance))
    last = steps[-1][1]
    age = chance.uniform(24, 204)
    bone_age = max(6.0, age + chance.gauss(shift_months - 1, 13))
    rows[InstanceRow].append(
        {
            "id": number,
            "sop_instance_uid": f"2.25.{number}",
            "sop_class_uid": "1.2.840.10008.5.1.4.1.1.1",
            "study_instance_uid": f"2.25.{number}.1",
            "series_instance_uid": f"2.25.{number}.2",
            "transfer_syntax_uid": "1.2.840.10008.1.2.1",
            "revision": 1,
            "sha256": f"{number:064x}",
            "size_bytes": 1,
            "path": f"received/{number}.dcm",
            "calling_ae_title": "CR_ROOM_1",
            "peer_address": "127.0.0.1",
            "received_at": at,
            "header": {"PatientName": "Secret^Name", "PatientID": "SECRET-1"},
        }
    )
    finding = {"chronological_age_months": age, "bone_age_months": bone_age, "report": "Bone age\n"}
    rows[JobRow].append(
        {
            "id": number,
            "instance_id": number,
            "state": end,
            "created_at": at,
            "updated_at": last,
            "attempts": 1,
            "bone_age_months": bone_age if end == JobState.SENT else None,
            "outcome": "assessed" if end == JobState.SENT else None,
            "finding": finding if end == JobState.SENT else None,
        }
    )
    if end == JobState.SENT:
        rows[DeliveryRow].append(
            {
                "id": number,
                "job_id": number,
                "destination": "PACS",
                "state": DeliveryState.SENT,
                "attempts": 1,
                "next_attempt_at": at,
                "updated_at": last,
            }
        )
    rows[EventRow].extend(
        {
            "job_id": number,
            "delivery_id": number if of_delivery else None,
            "at": moment,
            "from_state": source,
            "to_state": target,
            "actor": "node",
        }
        for (source, target, of_delivery), moment in steps
    )


def _steps(
    end: JobState, at: datetime, chance: random.Random
) -> Iterator[tuple[tuple[str | None, str, bool], datetime]]:
    """Yield the moves of one job, with their moments."""
    seconds = chance.lognormvariate(2.3, 0.8)
    yield (None, "received", False), at
    if end == JobState.REJECTED:
        yield ("received", "rejected", False), at
        return
    yield ("received", "queued", False), at
    yield ("queued", "running", False), at + timedelta(seconds=0.3 * seconds)
    if end == JobState.FAILED:
        yield ("running", "failed", False), at + timedelta(seconds=0.8 * seconds)
        return
    yield ("running", "reported", False), at + timedelta(seconds=0.8 * seconds)
    yield (None, "waiting", True), at + timedelta(seconds=0.8 * seconds)
    yield ("waiting", "sending", True), at + timedelta(seconds=0.9 * seconds)
    yield ("sending", "sent", True), at + timedelta(seconds=seconds)
    yield ("reported", "sent", False), at + timedelta(seconds=seconds)


def write_heartbeats(node: Node) -> None:
    """Let every part have just been heard from."""
    with node.database.write() as session:
        for part in ("listen", "assess", "send", "sweep"):
            detail = "cuda:0 tj-1.2.0" if part == "assess" else ""
            row = HeartbeatRow(
                owner=f"{part}@reading-room:{4711}", part=part, at=now(), detail=detail
            )
            session.merge(row)
