"""A node with a real database, jobs in every state, and its pages behind a real server."""

from __future__ import annotations

import functools
import itertools
import socket
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import uvicorn

from dicom_node import deliveries, jobs, migrations
from dicom_node.broker import embedded_server_command
from dicom_node.config import load_config
from dicom_node.node import Node
from dicom_node.states import DeliveryState, JobState
from tests.peers import HOST, running, wait_until
from tests.web.browser import chromium
from worklist import accounts, passwords, sessions
from worklist.access import Role
from worklist.app import create_app
from worklist.cookies import SESSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser
    from starlette.applications import Starlette

START_SECONDS = 30.0
OWNER = "assess@test"


class Jobs:
    """Makes jobs as the node makes them: by `dicom_node.jobs` and `dicom_node.deliveries`."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._number = itertools.count(1)

    def received(self, **header: str) -> int:
        """Return a job that has just been received, its header as given."""
        uid = f"2.25.{next(self._number)}"
        instance = jobs.NewInstance(
            sop_instance_uid=uid,
            sop_class_uid="1.2.840.10008.5.1.4.1.1.1",
            study_instance_uid=f"{uid}.1",
            series_instance_uid=f"{uid}.2",
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            sha256=f"{uid:0>64}",
            size_bytes=1,
            path=f"received/{uid}.dcm",
            calling_ae_title="CR_ROOM_1",
            peer_address=HOST,
            header=header,
        )
        with self.node.database.write() as session:
            job_id = jobs.receive(session, instance)
        assert job_id is not None
        return job_id

    def move(
        self, job_id: int, source: JobState, target: JobState, reason: str | None = None
    ) -> None:
        """Move a job."""
        with self.node.database.write() as session:
            assert jobs.move(session, job_id, source, target, reason=reason)

    def queued(self, **header: str) -> int:
        """Return a job that waits for a worker."""
        job_id = self.received(**header)
        self.move(job_id, JobState.RECEIVED, JobState.QUEUED)
        return job_id

    def rejected(self, reason: str, **header: str) -> int:
        """Return a job that was not eligible."""
        job_id = self.received(**header)
        self.move(job_id, JobState.RECEIVED, JobState.REJECTED, reason)
        return job_id

    def running(self, **header: str) -> int:
        """Return a job that a worker has in hand."""
        job_id = self.queued(**header)
        with self.node.database.write() as session:
            assert jobs.claim(session, job_id, OWNER, 45)
        return job_id

    def failed(self, reason: str, **header: str) -> int:
        """Return a job whose assessment failed."""
        job_id = self.running(**header)
        self.move(job_id, JobState.RUNNING, JobState.FAILED, reason)
        return job_id

    def cancelled(self, **header: str) -> int:
        """Return a job that an operator cancelled."""
        job_id = self.received(**header)
        self.move(job_id, JobState.RECEIVED, JobState.CANCELLED)
        return job_id

    def reported(
        self,
        bone_age_months: float,
        report: str = "Bone age\n",
        destinations: tuple[str, ...] = (),
        **header: str,
    ) -> tuple[int, list[int]]:
        """Return an assessed job, and its deliveries, which wait."""
        job_id = self.running(**header)
        values = {
            "bone_age_months": bone_age_months,
            "outcome": "assessed",
            "weights_version": "tj-1 / 0.1",
            "finding": {"bone_age_months": bone_age_months, "report": report},
        }
        with self.node.database.write() as session:
            assert jobs.move(
                session, job_id, JobState.RUNNING, JobState.REPORTED, owner=OWNER, values=values
            )
            return job_id, deliveries.create(session, job_id, destinations)

    def deliver(self, delivery_id: int, target: DeliveryState, reason: str | None = None) -> None:
        """Send one delivery and let it end in ``target``."""
        with self.node.database.write() as session:
            assert deliveries.claim(session, delivery_id, "send@test", 45)
            if target != DeliveryState.SENDING:
                assert deliveries.move(
                    session, delivery_id, DeliveryState.SENDING, target, reason=reason
                )

    def settle(self, job_id: int) -> None:
        """Move a job to where its deliveries have brought it."""
        with self.node.database.write() as session:
            deliveries.settle(session, job_id)


@pytest.fixture
def make_node(tmp_path: Path) -> Iterator[Callable[[str], Node]]:
    """Return what makes a node of a configuration's text; its tables are not there yet."""
    made = []

    def make(text: str = "") -> Node:
        file = tmp_path / "config.yaml"
        file.write_text(f"data_directory: .\n{text}", "utf-8")
        made.append(Node.of(load_config(file)))
        return made[-1]

    yield make
    for node in made:
        node.close()


@pytest.fixture
def node(make_node: Callable[[str], Node]) -> Node:
    """Return a node with an empty database of the present version."""
    node = make_node("")
    migrations.upgrade(node.config)
    return node


@pytest.fixture
def make(node: Node) -> Jobs:
    """Return what makes jobs in the node's database."""
    return Jobs(node)


@contextmanager
def embedded_broker(node: Node, folder: Path) -> Iterator[None]:
    """Run the node's embedded broker."""
    folder.mkdir()
    with running(embedded_server_command(node.config.broker_socket), folder) as peer:
        peer.wait_for(lambda: node.broker.depth("assess") is not None, "the embedded broker")
        yield


@pytest.fixture
def broker(node: Node, tmp_path: Path) -> Iterator[None]:
    """Run the node's embedded broker for one test."""
    with embedded_broker(node, tmp_path / "valkey"):
        yield


@contextmanager
def served(app: Starlette, **options: Any) -> Iterator[httpx.Client]:  # noqa: ANN401 - httpx's own
    """Serve an application on a port that the kernel picks, and give a client of it."""
    listening = socket.create_server((HOST, 0))
    server = uvicorn.Server(
        uvicorn.Config(app, log_config=None, access_log=False, proxy_headers=False)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        wait_until(lambda: server.started, START_SECONDS, "the page's server")
        url = f"http://{HOST}:{listening.getsockname()[1]}"
        with httpx.Client(base_url=url, trust_env=False, timeout=30.0, **options) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(START_SECONDS)
        listening.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return Chromium, one for each module.

    While it is open, nothing may call ``asyncio.run`` in this thread: playwright has a loop there.
    """
    with chromium() as opened:
        yield opened


PASSWORD = "correct horse battery"  # noqa: S105 - of users that live as long as a test
FORM_HEADER = "X-CSRF-Token"


@functools.cache
def password_hash() -> str:
    """Return the hash of the tests' password; computed once, with the parameters that ship."""
    return passwords.hashed(PASSWORD, "")


def add_user(node: Node, name: str, role: Role) -> int:
    """Add a user, if there is none of this name, and return their id."""
    with node.database.write() as session:
        account = accounts.found(session, name)
        return (account or accounts.add(session, name, role, password_hash(), actor="test")).id


def log_in(client: httpx.Client, name: str, password: str = PASSWORD) -> httpx.Response:
    """Log a client in as a browser would, and let it send its session's token from then on."""
    answer = client.post("/login", data={"name": name, "password": password})
    if answer.status_code == 303:
        client.headers[FORM_HEADER] = sessions.csrf_token(client.cookies[SESSION])
    return answer


def let_in(client: httpx.Client, node: Node, name: str, role: Role) -> None:
    """Give a client a session of a user, as a login would but without its tenth of a second."""
    account_id = add_user(node, name, role)
    with node.database.write() as session:
        token = sessions.begin(session, account_id, node.config.worklist)
    client.cookies.set(SESSION, token, domain=HOST)
    client.headers[FORM_HEADER] = sessions.csrf_token(token)


def private(client: httpx.Client) -> dict[str, str]:
    """Return the header of a request by which a client's login has the privacy switch on."""
    kept = [f"{cookie.name}={cookie.value}" for cookie in client.cookies.jar]
    return {"Cookie": "; ".join([*kept, "privacy=1"])}


@pytest.fixture
def anonymous(node: Node) -> Iterator[httpx.Client]:
    """Return a client of the node's pages that has not logged in."""
    with served(create_app(node)) as client:
        yield client


@pytest.fixture
def client(node: Node, anonymous: httpx.Client) -> httpx.Client:
    """Return a client of the node's pages that is logged in as an admin."""
    let_in(anonymous, node, "admin", Role.ADMIN)
    return anonymous


@pytest.fixture
def client_as(node: Node, anonymous: httpx.Client) -> Iterator[Callable[[str], httpx.Client]]:
    """Return what gives a client with a role, a user of its own each."""
    with ExitStack() as stack:

        def enter(role: str) -> httpx.Client:
            client = httpx.Client(base_url=anonymous.base_url, trust_env=False, timeout=30.0)
            let_in(stack.enter_context(client), node, role, Role.of(role))
            return client

        yield enter


@pytest.fixture
def client_of() -> Iterator[Callable[[Node], httpx.Client]]:
    """Return what migrates a node's database and gives a client of its pages, as an admin."""
    with ExitStack() as stack:

        def serve(node: Node) -> httpx.Client:
            migrations.upgrade(node.config)
            client = stack.enter_context(served(create_app(node)))
            let_in(client, node, "admin", Role.ADMIN)
            return client

        yield serve
