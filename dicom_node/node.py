"""The bootstrap: one place where the real parts are chosen and put together."""

from __future__ import annotations

import os
import socket
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dicom_node.broker import Broker
from dicom_node.db import Database, HeartbeatRow, now
from dicom_node.storage import Storage

if TYPE_CHECKING:
    from dicom_node.config import Config

HEARTBEAT_SECONDS = 10.0
"""How often a listener or a worker says that it lives."""


@dataclass(frozen=True, slots=True)
class Node:
    """What every part works with."""

    config: Config
    database: Database
    storage: Storage
    broker: Broker

    @classmethod
    def of(cls, config: Config) -> Node:
        """Put the parts together; nothing is connected yet."""
        return cls(
            config=config,
            database=Database(config.database_url),
            storage=Storage(config.data_directory, config.storage.reserve_megabytes),
            broker=Broker(config.broker_url),
        )

    def beat(self, part: str, detail: str = "") -> None:
        """Say that this process lives; the worklist's health check reads it."""
        with self.database.write() as session:
            row = HeartbeatRow(owner=process_name(part), part=part, at=now(), detail=detail)
            session.merge(row)

    def close(self) -> None:
        """Close what is open."""
        self.broker.close()
        self.database.dispose()


def process_name(part: str) -> str:
    """Return the name of this process among all hosts, for heartbeats."""
    return f"{part}@{socket.gethostname()}:{os.getpid()}"[:128]


def new_owner(part: str) -> str:
    """Return a name for one claim; no two claims share it."""
    return f"{process_name(part)}:{uuid.uuid4().hex[:8]}"[:128]
