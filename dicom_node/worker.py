"""The Celery side: each task takes an id and hands it to the pipeline."""

from __future__ import annotations

import threading
import warnings
from typing import TYPE_CHECKING

import structlog
from celery.platforms import SecurityWarning
from celery.signals import worker_shutting_down
from sqlalchemy.exc import SQLAlchemyError

from dicom_node import pipeline, retriever
from dicom_node.archive import Archive
from dicom_node.broker import keys_of, priority_of
from dicom_node.node import HEARTBEAT_SECONDS, process_name

if TYPE_CHECKING:
    from celery import Task

    from dicom_node.broker import Queue
    from dicom_node.node import Node

log = structlog.get_logger()

SENDERS = 4
"""Deliveries at once in the sending process, so that one slow archive does not hold others."""


def work(node: Node, queue: Queue) -> None:
    """Serve a queue until SIGTERM or SIGINT; what is in hand is finished first."""
    if queue == "assess":
        _serve_assess(node)
    else:
        _serve_send(node)


def _serve_assess(node: Node) -> None:
    """Assess in this very process: CUDA does not survive a fork."""
    from dicom_node.infer import Estimators, load_estimator  # noqa: PLC0415 - torch, only here

    estimator = load_estimator(node.config.inference)
    log.info(
        "weights loaded",
        weights=estimator.weights.version,
        device=str(estimator.device),
        calibration=estimator.calibration.version if estimator.calibration else None,
    )

    estimators = Estimators(node.config.inference, estimator)

    @node.broker.app.task(name="assess", bind=True)  # type: ignore[untyped-decorator]
    def assess(task: Task, job_id: int) -> None:
        came_by = priority_of((task.request.delivery_info or {}).get("routing_key"))
        pipeline.assess(node, estimators, job_id, came_by=came_by)

    # Strictly: an urgent one first, and what waits in bulk only when nothing else does.
    options = node.broker.app.conf.broker_transport_options
    node.broker.app.conf.broker_transport_options = {**options, "queue_order_strategy": "priority"}
    _run(node, ["assess"], f"{estimator.device} {estimator.weights.version}", "solo", 1)


def _serve_send(node: Node) -> None:
    """Send, fetch and retrieve from a few threads: they wait for the network alone.

    The queues take turns, so none waits for the whole of another: neither what is new for what
    is sent in bulk, nor what is sent for an archive that answers late.
    """
    archive = Archive.of(node.config)

    @node.broker.app.task(name="send")  # type: ignore[untyped-decorator]
    def send(delivery_id: int) -> None:
        pipeline.send(node, delivery_id)

    @node.broker.app.task(name="fetch")  # type: ignore[untyped-decorator]
    def fetch(job_id: int) -> None:
        pipeline.fetch(node, archive, job_id)

    @node.broker.app.task(name="retrieve")  # type: ignore[untyped-decorator]
    def retrieve(retrieval_id: int) -> None:
        retriever.retrieve(node, retrieval_id)

    _run(node, ["send", "fetch", "retrieve"], "", "threads", SENDERS)


def _run(node: Node, queues: list[Queue], detail: str, pool: str, concurrency: int) -> None:
    """Run Celery's worker in this process, which is known by the first of its queues."""
    queue = queues[0]
    stop = threading.Event()
    worker_shutting_down.connect(lambda **_: stop.set(), weak=False)
    threading.Thread(target=_beat, args=(node, queue, detail, stop), daemon=True).start()
    # Root is what a container runs as; tasks are JSON, so the warning does not apply.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    worker = node.broker.app.Worker(
        queues=keys_of(*queues),
        hostname=process_name(queue),
        pool=pool,
        concurrency=concurrency,
        loglevel="WARNING",
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    worker.start()


def _beat(node: Node, queue: Queue, detail: str, stop: threading.Event) -> None:
    """Say now and then that this worker lives."""
    while True:
        try:
            node.beat(queue, detail)
        except SQLAlchemyError as error:
            log.warning("no heartbeat", error=type(error).__name__)
        if stop.wait(HEARTBEAT_SECONDS):
            return
