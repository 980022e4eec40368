"""Webhooks against a real HTTP server: said once, until it is taken, without a patient."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select, update

from dicom_node import drift, webhooks
from dicom_node.config import Webhook
from dicom_node.db import EchoRow, MarkRow, NoticeRow, now
from dicom_node.node import Node
from dicom_node.states import DeliveryState
from tests.peers import HOST, free_port
from tests.web.conftest import Jobs

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "whsec_" + base64.b64encode(b"a secret of the test").decode()


@dataclass
class Receiver:
    """A server that refuses so many messages, then takes them."""

    refusals: int
    taken: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    url: str = ""


@contextmanager
def receiver(refusals: int = 0) -> Iterator[Receiver]:
    """Run a receiver on a port that the kernel picks."""
    kept = Receiver(refusals)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {key.lower(): value for key, value in self.headers.items()}
            if kept.refusals:
                kept.refusals -= 1
                kept.refused.append(headers["webhook-id"])
                self.send_response(503)
            else:
                kept.taken.append((headers, body))
                self.send_response(204)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        kept.url = f"http://{HOST}:{server.server_port}/hook"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield kept
        server.shutdown()
        thread.join()


def telling(node: Node, *hooks: Webhook) -> Node:
    """Return the node with webhooks, which have been there for a minute."""
    config = node.config.model_copy(update={"webhooks": list(hooks)})
    made = Node(config, node.database, node.storage, node.broker)
    webhooks.write_down(made)
    with made.database.write() as session:
        session.execute(update(MarkRow).values(at=now() - timedelta(minutes=1)))
    return made


def make_due(node: Node) -> None:
    with node.database.write() as session:
        session.execute(update(NoticeRow).values(next_attempt_at=now() - timedelta(seconds=1)))


def test_a_failure_is_told_until_it_is_taken(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    with receiver(refusals=2) as other:
        hook = Webhook(url=other.url, on=["failed"], secret_env="HOOK_SECRET")  # noqa: S106 - its name
        told = telling(node, hook)
        job_id = Jobs(told).failed(
            "the assessment failed: of Secret^Name", PatientName="Secret^Name", PatientID="SECRET-1"
        )
        assert webhooks.write_down(told) == 1
        assert webhooks.write_down(told) == 0, "once for each occasion"
        assert webhooks.post_due(told) == 0
        assert webhooks.post_due(told) == 0, "it waits for its pause"
        assert len(other.refused) == 1
        make_due(told)
        assert webhooks.post_due(told) == 0
        make_due(told)
        assert webhooks.post_due(told) == 1
        make_due(told)
        assert webhooks.post_due(told) == 0
        ((headers, body),) = other.taken
    assert set(other.refused) == {headers["webhook-id"]}, "the same id with every attempt"
    signed = b".".join(
        [headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body]
    )
    digest = hmac.new(b"a secret of the test", signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
    said = json.loads(body)
    assert said.pop("at")
    assert said == {
        "node": "BONEAGE",
        "event": "failed",
        "job": job_id,
        "state": "failed",
        "reason": "assessment_failed",
        "page": f"http://127.0.0.1:8000/jobs/{job_id}",
    }
    assert b"SECRET" not in body.upper()


def test_one_that_cannot_be_reached_holds_up_no_other(node: Node) -> None:
    with receiver() as other:
        dead = f"http://{HOST}:{free_port()}/hook"
        told = telling(node, Webhook(url=dead), Webhook(url=other.url))
        make = Jobs(told)
        for _ in range(3):
            make.failed("")
        assert webhooks.write_down(told) == 6
        assert webhooks.post_due(told) == len(other.taken) == 3
        with node.database.read() as session:
            tried = session.scalars(select(NoticeRow.attempts).where(NoticeRow.url == dead))
            assert sorted(tried) == [0, 0, 1]
    assert webhooks.post_due(telling(node)) == 0
    with node.database.read() as session:
        ended = session.scalars(select(NoticeRow.taken).where(NoticeRow.ended_at.is_not(None)))
        assert sorted(ended) == [False] * 3 + [True] * 3, "configured no more"


def test_the_pause_grows_and_has_an_end(node: Node) -> None:
    with receiver(refusals=10**6) as other:
        told = telling(node, Webhook(url=other.url))
        Jobs(told).failed("")
        assert webhooks.write_down(told) == 1
        pauses = []
        for _ in range(webhooks.MOST_ATTEMPTS):
            make_due(told)
            webhooks.post_due(told)
            with told.database.read() as session:
                row = session.scalars(select(NoticeRow)).one()
            pauses.append((row.next_attempt_at - now()).total_seconds())
        assert pauses[0] < pauses[1] < pauses[2]
        assert max(pauses) <= webhooks.LONGEST_PAUSE_SECONDS
        assert row.ended_at is not None
        assert not row.taken
        make_due(told)
        webhooks.post_due(told)
        assert len(other.refused) == webhooks.MOST_ATTEMPTS


def test_two_sweepers_do_not_post_the_same_attempt(node: Node) -> None:
    told = telling(node, Webhook(url="http://127.0.0.1:1/"))
    Jobs(told).failed("")
    webhooks.write_down(told)
    with told.database.read() as session:
        row = session.scalars(select(NoticeRow)).one()
    assert webhooks._claim(told, row)
    assert not webhooks._claim(told, row)


def test_what_else_is_told(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    told = telling(node, Webhook(url="http://127.0.0.1:1/"))
    job_id, deliveries = Jobs(told).reported(100.0, destinations=("PACS",))
    Jobs(told).deliver(deliveries[0], DeliveryState.REFUSED, "answered with A900")
    Jobs(told).settle(job_id)
    with told.database.write() as session:
        down = {"started_at": now(), "ended_at": now(), "failing_since": now()}
        session.add(EchoRow(destination="PACS", failed_step="tcp", failures=2, **down))
    monkeypatch.setattr(told.storage, "reserve_bytes", 2**62)
    monkeypatch.setattr(drift, "FEWEST_RECENT", 10**9)
    assert webhooks.write_down(told) == 3
    assert webhooks.write_down(told) == 0
    with told.database.read() as session:
        said = {row.body["event"]: row.body for row in session.scalars(select(NoticeRow))}
    assert said["undelivered"]["destinations"] == [{"name": "PACS", "state": "refused"}]
    assert said["destination_down"]["reason"] == "tcp_failed"
    assert said["disk_low"]["reason"] == "below_reserve"
    assert webhooks.post_due(told) == 0, "nobody is there, and nothing is raised"


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("the received file is missing", "file_missing"),
        ("given up after 3 attempts: each time the worker died", "given_up"),
        ("the assessment failed: ValueError", "assessment_failed"),
        (None, "assessment_failed"),
    ],
)
def test_reasons_are_told_by_their_kind(reason: str | None, kind: str) -> None:
    assert webhooks.failure_class(reason) == kind
