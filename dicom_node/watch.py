"""What the sweeper's process does beside sweeping: counting, C-ECHOs, webhooks.

Each in a thread of its own, so that a peer that does not answer holds up nothing else.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import structlog

from dicom_node import echoes, tally, webhooks

if TYPE_CHECKING:
    from collections.abc import Callable

    from dicom_node.node import Node

log = structlog.get_logger()


def start(node: Node, stop: threading.Event) -> list[threading.Thread]:
    """Start the threads; they end soon after ``stop`` is set."""
    duties = {"count": count_hours, "echo": echoes.run_due, "webhooks": tell}
    threads = [
        threading.Thread(target=_repeat, args=(node, name, duty, stop), name=name, daemon=True)
        for name, duty in duties.items()
    ]
    for thread in threads:
        thread.start()
    return threads


def _repeat(node: Node, name: str, duty: Callable[[Node], object], stop: threading.Event) -> None:
    while True:
        try:
            duty(node)
        except Exception:  # the edge: watching must go on, and must harm nothing else
            log.exception("watching failed", duty=name)
        if stop.wait(node.config.leases.sweep_seconds):
            return


def count_hours(node: Node) -> int:
    """Count the hours that are over."""
    return tally.close_hours(node.database)


def tell(node: Node) -> int:
    """Write down what webhooks want to know, and post what is due."""
    if not node.config.webhooks:
        return 0
    webhooks.write_down(node)
    taken = webhooks.post_due(node)
    webhooks.forget_old(node)
    return taken
