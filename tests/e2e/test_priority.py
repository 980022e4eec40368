"""Whose turn comes first, and with which weights: a real worker, broker and database."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml
from sqlalchemy import select

from dicom_node import actions, intake, jobs, migrations
from dicom_node.actions import Order
from dicom_node.broker import embedded_server_command
from dicom_node.config import DEFAULT_WEIGHTS, SHIPPED, load_config
from dicom_node.db import EventRow
from dicom_node.node import Node
from dicom_node.radiograph import wrap_radiograph
from dicom_node.states import JobState, Priority
from models.phantom import HIGHEST_VALUE, draw_phantom
from models.tjnet.weights import DEFAULT
from tests.builders import OWNER, add_job, kept_instance
from tests.peers import running

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).resolve().parents[2]
URGENT, NORMAL, BULK = Priority


@pytest.fixture
def config_file(tmp_path: Path) -> Path:
    """Return a configuration with further weights: the shipped ones under another name."""
    shutil.copy(SHIPPED / f"{DEFAULT_WEIGHTS}.safetensors", tmp_path / "ward.safetensors")
    card = json.loads((SHIPPED / f"{DEFAULT_WEIGHTS}.json").read_text("utf-8"))
    (tmp_path / "ward.json").write_text(json.dumps({**card, "name": "ward"}), "utf-8")
    file = tmp_path / "config.yaml"
    section = {"device": "cpu", "more_weights": ["ward.safetensors"]}
    file.write_text(yaml.safe_dump({"data_directory": "data", "inference": section}), "utf-8")
    return file


@pytest.fixture
def node(config_file: Path, tmp_path: Path) -> Iterator[Node]:
    """Return a node with an embedded broker that runs, and nobody who works."""
    made = Node.of(load_config(config_file))
    migrations.upgrade(made.config)
    folder = tmp_path / "broker"
    folder.mkdir()
    with running(embedded_server_command(made.config.broker_socket), folder) as peer:
        peer.wait_for(lambda: made.broker.depth("assess") is not None, "the embedded broker")
        yield made
    made.close()


def begun(node: Node) -> list[int]:
    """Return the jobs that the worker has begun, in that order."""
    query = select(EventRow.job_id).where(
        EventRow.to_state == JobState.RUNNING, EventRow.actor != OWNER
    )
    with node.database.read() as session:
        return list(session.scalars(query.order_by(EventRow.id)))


def test_the_default_weights_are_those_of_the_network() -> None:
    assert DEFAULT_WEIGHTS == DEFAULT


def test_urgent_before_normal_before_bulk_and_the_weights_that_were_asked_for(
    node: Node, config_file: Path, tmp_path: Path
) -> None:
    picture = draw_phantom("F", 126, height_px=512, width_px=400) / np.float32(HIGHEST_VALUE)
    dataset = wrap_radiograph(picture, sex="F", age_months=126)
    with node.database.write() as session:
        hand = add_job(session, JobState.FAILED, kept_instance(node.storage, tmp_path, dataset))
        lost = [add_job(session, JobState.QUEUED) for _ in range(7)]  # of files that are not there
        for job_id in lost[:4]:
            jobs.get(session, job_id).priority = BULK
    intake.enqueue_all(node, lost)
    order = Order("rerun", weights="ward", priority=BULK)
    rerun = actions.do(node, hand, "ada", order).job_id
    for job_id, priority in ((lost[3], URGENT), (lost[2], NORMAL), (lost[4], BULK)):
        actions.do(node, job_id, "ada", Order("priority", priority=priority))
    expected = [lost[3], lost[5], lost[6], lost[2], lost[0], lost[1], rerun, lost[4]]

    command = [sys.executable, "-m", "dicom_node", "--config", config_file, "work"]
    folder = tmp_path / "worker"
    folder.mkdir()
    environment = {"PYTHONPATH": str(PROJECT)}
    with running([*command, "--queue", "assess"], folder, environment=environment) as worker:
        worker.wait_for(lambda: len(begun(node)) == len(expected), "every job")
        worker.wait_for(lambda: node.broker.depth("assess") == 0, "the lists")
        assert begun(node) == expected

        def version() -> str | None:
            with node.database.read() as session:
                return jobs.get(session, rerun).weights_version

        assert worker.wait_for(version, "the answer").startswith("ward-")
