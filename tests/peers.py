"""Real peers on 127.0.0.1 for the tests: DCMTK, Orthanc, PostgreSQL and Redis.

Each peer is a process of its own, on a port that the kernel picked, in a folder of its own. It
is waited for by polling with a deadline and stopped by its process id. A program that is not
installed skips the test, and fails it under ``CI=true``.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import httpx
import psycopg
import pytest
import redis
from psycopg import sql
from pydicom.filereader import read_file_meta_info
from redis.backoff import NoBackoff
from redis.retry import Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pydicom.dataset import FileMetaDataset

HOST = "127.0.0.1"
POLL_SECONDS = 0.02
START_SECONDS = 60.0
STOP_SECONDS = 20.0
COMMAND_SECONDS = 120.0

# pynetdicom installs Python programs under the names of DCMTK's: these are never taken from the
# virtual environment.
_PYNETDICOM_PROGRAMS = frozenset(
    {"echoscp", "echoscu", "findscu", "getscu", "movescu", "qrscp", "storescp", "storescu"},
)

Result = TypeVar("Result")


class PeerError(AssertionError):
    """A peer died, or did not answer before its deadline."""


def wait_until(
    predicate: Callable[[], Result | None],
    timeout_seconds: float,
    what: str,
) -> Result:
    """Poll ``predicate`` until it answers something true, and return that.

    Raises
    ------
    PeerError
        When the deadline has passed; the message is ``what`` was waited for.
    """
    deadline = time.monotonic() + timeout_seconds
    pause = threading.Event()
    while True:
        answer = predicate()
        if answer:
            return answer
        if time.monotonic() > deadline:
            message = f"waited {timeout_seconds:g} s in vain for {what}"
            raise PeerError(message)
        pause.wait(POLL_SECONDS)


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def is_listening(port: int) -> bool:
    """Tell whether something accepts connections on 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((HOST, port)) == 0


def missing(what: str) -> NoReturn:
    """Skip the running test for want of a peer; fail it under ``CI=true``."""
    message = f"{what} is not installed here (make peers)"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


def need(program: str) -> Path:
    """Return the full path of an installed program, or skip the test (fail under ``CI=true``).

    The virtual environment comes last, and never for a name that pynetdicom shares with DCMTK.
    """
    venv = str(Path(sys.prefix, "bin"))
    folders = [folder for folder in os.get_exec_path() if folder != venv]
    folders += ["/usr/sbin", "/usr/bin", *_postgresql_folders()]
    if program not in _PYNETDICOM_PROGRAMS:
        folders.append(venv)
    found = shutil.which(program, path=os.pathsep.join(folders))
    if found is None:
        missing(program)
    return Path(found)


def _postgresql_folders() -> list[str]:
    """Debian keeps PostgreSQL's server programs out of PATH; the newest version comes first."""
    folders = Path("/usr/lib/postgresql").glob("*/bin")
    return [str(folder) for folder in sorted(folders, key=lambda f: -float(f.parent.name))]


# --- processes ---------------------------------------------------------------------------------


def stop(
    process: subprocess.Popen[Any],
    stop_signal: int = signal.SIGTERM,
    patience_seconds: float = STOP_SECONDS,
) -> None:
    """Ask one process to end, wait for it, and kill it when it does not."""
    if process.poll() is None:
        process.send_signal(stop_signal)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience_seconds)
    if process.poll() is None:
        process.kill()
        process.wait(STOP_SECONDS)


@dataclass(frozen=True, slots=True)
class Peer:
    """A running process with its log.

    Attributes
    ----------
    process : subprocess.Popen
        The process that this object started.
    log : Path
        Where its standard output and error go.
    """

    process: subprocess.Popen[bytes]
    log: Path

    def wait_for(self, predicate: Callable[[], Result | None], what: str) -> Result:
        """Wait for ``predicate`` while the process lives; ``PeerError`` shows the log's end."""

        def alive_and_ready() -> Result | None:
            if self.process.poll() is not None:
                message = f"{what}: ended with {self.process.returncode}\n{self.log_text()[-2000:]}"
                raise PeerError(message)
            return predicate()

        return wait_until(alive_and_ready, START_SECONDS, what)

    def log_text(self) -> str:
        """Return all that the process has printed."""
        return self.log.read_text("utf-8", errors="replace")


@contextmanager
def running(
    command: Sequence[object],
    folder: Path,
    *,
    environment: Mapping[str, str] | None = None,
    user: str | None = None,
    stop_signal: int = signal.SIGTERM,
) -> Iterator[Peer]:
    """Run a command in ``folder`` for the length of a ``with`` block, its output in ``log.txt``."""
    log = folder / "log.txt"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
            **_as_user(user),
        )
    try:
        yield Peer(process, log)
    finally:
        stop(process, stop_signal)


def _as_user(user: str | None) -> dict[str, Any]:
    """Return what ``subprocess`` needs to run something as another user (None: as we are)."""
    return {} if user is None else {"user": user, "group": user, "extra_groups": []}


# --- DCMTK -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Dcmtk:
    """DCMTK's command-line programs.

    Attributes
    ----------
    folder : Path
        Where association profiles are written.
    """

    folder: Path
    _count: itertools.count[int] = field(default_factory=itertools.count)

    def run(self, program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run one program to its end; a non-zero exit is returned, not raised."""
        return subprocess.run(
            [str(need(program)), *(str(argument) for argument in arguments)],
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=COMMAND_SECONDS,
            # Without it DCMTK leaves Nagle's algorithm on: 50 ms a small image instead of 15.
            env={**os.environ, "TCP_NODELAY": "1"},
        )

    def echoscu(
        self,
        port: int,
        *,
        host: str = HOST,
        calling: str = "MODALITY",
        called: str = "BONEAGE",
        extra_args: Sequence[str] = (),
    ) -> subprocess.CompletedProcess[str]:
        """Send a C-ECHO; the exit status is 0 when it was answered with success."""
        return self.run(
            *("echoscu", "-v", "-aet", calling, "-aec", called, *extra_args, host, str(port)),
        )

    def storescu(
        self,
        files: Sequence[Path],
        port: int,
        *,
        host: str = HOST,
        calling: str = "MODALITY",
        called: str = "BONEAGE",
        transfer_syntaxes: Sequence[str] = (),
        extra_args: Sequence[str] = (),
    ) -> subprocess.CompletedProcess[str]:
        """Send files by C-STORE, each in its own transfer syntax and so byte for byte as it is.

        Parameters
        ----------
        transfer_syntaxes : sequence of str
            UIDs to propose for every file instead of the file's own.
        extra_args : sequence of str
            More of storescu's options; none of those that propose (-x…, -R, +C).
        """
        profile = self.write_profile(files, transfer_syntaxes)
        arguments = ["-v", "-aet", calling, "-aec", called, "-xf", str(profile), "Default"]
        return self.run("storescu", *arguments, *extra_args, host, str(port), *files)

    def write_profile(self, files: Sequence[Path], transfer_syntaxes: Sequence[str] = ()) -> Path:
        """Write the association profile that proposes exactly what ``files`` need."""
        wanted = {
            (str(meta.MediaStorageSOPClassUID), tuple(transfer_syntaxes) or _own_syntax(meta))
            for meta in map(read_file_meta_info, files)
        }
        syntaxes, contexts = ["[[TransferSyntaxes]]"], ["[[PresentationContexts]]", "[Contexts]"]
        for number, (sop_class, proposed) in enumerate(sorted(wanted), start=1):
            syntaxes.append(f"[Syntax{number}]")
            syntaxes += [f"TransferSyntax{i} = {uid}" for i, uid in enumerate(proposed, start=1)]
            contexts.append(f"PresentationContext{number} = {sop_class}\\Syntax{number}")
        profiles = ["[[Profiles]]", "[Default]", "PresentationContexts = Contexts"]
        path = self.folder / f"profile-{next(self._count)}.cfg"
        path.write_text("\n".join([*syntaxes, *contexts, *profiles, ""]), "ascii")
        return path

    @contextmanager
    def storescp(
        self,
        *,
        ae_title: str = "ARCHIVE",
        port: int | None = None,
        extra_args: Sequence[str] = (),
        accepting: Sequence[str] = ("+xa", "-pm"),
    ) -> Iterator[Receiver]:
        """Run a throwaway receiver; as it is, it accepts every SOP class and transfer syntax."""
        folder = self.folder / f"storescp-{next(self._count)}"
        incoming, whole = folder / "incoming", folder / "whole"
        incoming.mkdir(parents=True)
        whole.mkdir()
        port = port or free_port()
        # storescp writes while it receives: a file is linked into `whole` once it is complete.
        keep = f'ln -f "#p/#f" "{whole}/#f"'
        command = [need("storescp"), "-v", *accepting, "+B", "-od", incoming, "-aet", ae_title]
        with running(
            [*command, "-xs", "-xcr", keep, *extra_args, str(port)],
            folder,
            environment={"TCP_NODELAY": "1"},
        ) as peer:
            peer.wait_for(lambda: is_listening(port), f"storescp on port {port}")
            yield Receiver(ae_title, port, whole, peer)

    @contextmanager
    def qrscp(self, known: Mapping[str, int], *, ae_title: str = "QRSCP") -> Iterator[Receiver]:
        """Run DCMTK's archive; ``known`` are the AE titles that it may send to, and their ports."""
        folder = self.folder / f"qrscp-{next(self._count)}"
        store = folder / "store"
        store.mkdir(parents=True)
        port = free_port()
        hosts = [
            f"peer{n} = ({title}, {HOST}, {at})" for n, (title, at) in enumerate(known.items())
        ]
        lines = [
            *(f"NetworkTCPPort = {port}", "MaxPDUSize = 16384", "MaxAssociations = 16"),
            *("HostTable BEGIN", *hosts, "HostTable END", "VendorTable BEGIN", "VendorTable END"),
            *("AETable BEGIN", f"{ae_title} {store} RW (200, 1024mb) ANY", "AETable END"),
        ]
        (folder / "qrscp.cfg").write_text("\n".join([*lines, ""]), "ascii")
        command = [need("dcmqrscp"), "-v", "-c", folder / "qrscp.cfg"]
        with running(command, folder, environment={"TCP_NODELAY": "1"}) as peer:
            peer.wait_for(lambda: is_listening(port), f"dcmqrscp on port {port}")
            yield Receiver(ae_title, port, store, peer)


def _own_syntax(meta: FileMetaDataset) -> tuple[str, ...]:
    return (str(meta.TransferSyntaxUID),)


@dataclass(frozen=True, slots=True)
class Receiver:
    """A running ``storescp``.

    Attributes
    ----------
    ae_title : str
        Its AE title.
    port : int
        Its port on 127.0.0.1.
    folder : Path
        Where complete files lie, under the names that storescp gave them.
    """

    ae_title: str
    port: int
    folder: Path
    peer: Peer

    def files(self) -> list[Path]:
        """Return what has been received whole."""
        return sorted(self.folder.iterdir())

    def wait_for_files(self, count: int, timeout_seconds: float = START_SECONDS) -> list[Path]:
        """Wait until at least ``count`` files have been received whole."""
        what = f"{count} files at {self.ae_title}"
        return wait_until(
            lambda: files if len(files := self.files()) >= count else None,
            timeout_seconds,
            what,
        )


# --- Orthanc -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Orthanc:
    """A running Orthanc and its REST interface.

    Attributes
    ----------
    ae_title : str
        Its AE title.
    port : int
        Its DICOM port on 127.0.0.1.
    http_port : int
        The port of its REST interface.
    rest : httpx.Client
        Opened on that interface.
    """

    ae_title: str
    port: int
    http_port: int
    rest: httpx.Client
    peer: Peer

    def get(self, path: str) -> Any:  # noqa: ANN401 - JSON
        """Return the JSON answer to a GET of ``path``."""
        return self.rest.get(path).raise_for_status().json()

    def post(self, path: str, body: Any) -> Any:  # noqa: ANN401 - JSON
        """Return the JSON answer to a POST of ``body`` as JSON."""
        return self.rest.post(path, json=body).raise_for_status().json()

    def instances(self) -> list[str]:
        """Return Orthanc's ids of all instances."""
        return sorted(self.get("/instances"))

    def studies(self) -> list[str]:
        """Return Orthanc's ids of all studies."""
        return sorted(self.get("/studies"))

    def tags(self, instance: str) -> dict[str, Any]:
        """Return an instance's attributes by keyword."""
        tags: dict[str, Any] = self.get(f"/instances/{instance}/simplified-tags")
        return tags

    def instance_file(self, instance: str) -> bytes:
        """Return an instance as a DICOM file, as it is stored."""
        return self.rest.get(f"/instances/{instance}/file").raise_for_status().content

    def wait_for_instances(self, count: int) -> list[str]:
        """Wait until at least ``count`` instances are stored."""
        return wait_until(
            lambda: found if len(found := self.instances()) >= count else None,
            START_SECONDS,
            f"{count} instances at {self.ae_title}",
        )

    def find(self, sop_instance_uid: str) -> str | None:
        """Return Orthanc's id of a SOP instance, or None when it is not stored."""
        answer = self.post(
            "/tools/find",
            {"Level": "Instance", "Query": {"SOPInstanceUID": sop_instance_uid}},
        )
        return answer[0] if answer else None

    def upload(self, file: Path) -> str:
        """Store a file through REST and return Orthanc's id of it."""
        answer = self.rest.post("/instances", content=file.read_bytes()).raise_for_status()
        identifier: str = answer.json()["ID"]
        return identifier

    def add_modality(self, name: str, ae_title: str, port: int) -> None:
        """Make a DICOM peer on 127.0.0.1 known, with storage commitment allowed."""
        peer = {
            "AET": ae_title,
            "Host": HOST,
            "Port": port,
            "AllowStorageCommitment": True,
        }
        self.rest.put(f"/modalities/{name}", json=peer).raise_for_status()

    def send(self, instances: Sequence[str], modality: str) -> None:
        """Send instances to a known modality by C-STORE; ``httpx.HTTPStatusError`` if refused."""
        self.post(f"/modalities/{modality}/store", {"Resources": list(instances)})

    def clear(self) -> None:
        """Forget all patients and all modalities."""
        for patient in self.get("/patients"):
            self.rest.delete(f"/patients/{patient}").raise_for_status()
        for modality in self.get("/modalities"):
            self.rest.delete(f"/modalities/{modality}").raise_for_status()


@contextmanager
def start_orthanc(
    folder: Path,
    *,
    ae_title: str = "ORTHANC",
    port: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Iterator[Orthanc]:
    """Run an Orthanc with its data in ``folder``; ``settings`` go over those given here."""
    program = need("Orthanc")
    port, http_port = port or free_port(), free_port()
    configuration = {
        "Name": ae_title,
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "index"),
        "Plugins": [],
        "HttpPort": http_port,
        "HttpDescribeErrors": True,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAet": ae_title,
        "DicomPort": port,
        "DicomCheckCalledAet": True,
        "DicomAlwaysAllowEcho": True,
        "DicomAlwaysAllowStore": True,
        "UnknownSopClassAccepted": True,
        "StableAge": 1,
        "SaveJobs": False,
        **(settings or {}),
    }
    path = folder / "orthanc.json"
    path.write_text(json.dumps(configuration, indent=2), "utf-8")
    base_url = f"http://{HOST}:{http_port}"
    with (
        running([program, path], folder) as peer,
        httpx.Client(base_url=base_url, timeout=30.0, trust_env=False) as rest,
    ):
        peer.wait_for(lambda: is_listening(http_port) and is_listening(port), "Orthanc")
        yield Orthanc(ae_title, port, http_port, rest, peer)


# --- PostgreSQL --------------------------------------------------------------------------------


INITDB_OPTIONS = (
    "--username=postgres",
    "--auth=trust",
    "--encoding=UTF8",
    "--locale=C.UTF-8",
    "--no-sync",
)


@dataclass(frozen=True, slots=True)
class PostgreSql:
    """A running PostgreSQL cluster with nothing in it."""

    port: int
    peer: Peer
    _count: itertools.count[int] = field(default_factory=itertools.count)

    @contextmanager
    def database(self) -> Iterator[str]:
        """Make a fresh database, give its SQLAlchemy URL, and drop it at the end."""
        name = f"test_{next(self._count)}"
        self._execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield f"postgresql+psycopg://postgres@{HOST}:{self.port}/{name}"
        finally:
            self._execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def _execute(self, statement: sql.Composed | sql.SQL) -> None:
        address = f"host={HOST} port={self.port} user=postgres dbname=postgres"
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(statement)

    def answers(self) -> bool:
        """Tell whether the cluster accepts connections."""
        try:
            self._execute(sql.SQL("SELECT 1"))
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def start_postgresql(folder: Path) -> Iterator[PostgreSql]:
    """Run a fresh PostgreSQL cluster in ``folder``, as user ``postgres`` where we are root.

    PostgreSQL refuses to run as root, and its user must be able to enter ``folder``.
    """
    initdb, server = need("initdb"), need("postgres")
    user = None
    if os.geteuid() == 0:
        user = "postgres"
        shutil.chown(folder, user, user)
    data, port = folder / "data", free_port()
    subprocess.run(
        [initdb, "--pgdata", data, *INITDB_OPTIONS],
        check=True,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        **_as_user(user),
    )
    settings = {
        "listen_addresses": HOST,
        "port": str(port),
        "unix_socket_directories": str(folder),
        # The cluster does not outlive the tests, so nothing need reach the disk.
        "fsync": "off",
        "full_page_writes": "off",
    }
    words = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
    command = [server, "-D", data, *words]
    # SIGINT is PostgreSQL's "fast" shutdown; SIGTERM would wait for every client to leave.
    with running(command, folder, user=user, stop_signal=signal.SIGINT) as peer:
        cluster = PostgreSql(port, peer)
        peer.wait_for(cluster.answers, "PostgreSQL")
        yield cluster


# --- Redis -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RedisServer:
    """A running redis-server that keeps nothing on disk."""

    port: int
    peer: Peer

    @property
    def url(self) -> str:
        """The URL of its first database."""
        return f"redis://{HOST}:{self.port}/0"

    def answers(self) -> bool:
        """Tell whether it answers PING."""
        try:
            once = Retry(NoBackoff(), retries=0)
            with redis.Redis(host=HOST, port=self.port, retry=once) as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False


@contextmanager
def start_redis(folder: Path, port: int | None = None) -> Iterator[RedisServer]:
    """Run a redis-server without persistence in ``folder``."""
    port = port or free_port()
    command = [need("redis-server"), "--bind", HOST, "--port", str(port)]
    with running([*command, "--save", "", "--appendonly", "no"], folder) as peer:
        server = RedisServer(port, peer)
        peer.wait_for(server.answers, "Redis")
        yield server
