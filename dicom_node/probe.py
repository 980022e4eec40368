"""One peer tried step by step by a C-ECHO: how far it gets, and what stops it there."""

from __future__ import annotations

import socket
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from dicom_node import scu
from dicom_node.errors import AssociationError, PeerError

if TYPE_CHECKING:
    from dicom_node.config import ArchivePeer, Destination

StepName = Literal["address", "tcp", "association", "echo"]
STEPS: Final[tuple[StepName, ...]] = ("address", "tcp", "association", "echo")

LONGEST_SECONDS: Final = 10.0
"""A test need not be as patient as a delivery."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Attributes
    ----------
    name : str
        ``address``, ``tcp``, ``association`` or ``echo``.
    good : bool
        Whether it succeeded.
    detail : str
        What was found, or what stopped it.
    seconds : float
        How long it took.
    """

    name: StepName
    good: bool
    detail: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Probe:
    """The steps that were tried; only the last one can have failed."""

    steps: tuple[Step, ...]

    @property
    def failed(self) -> Step | None:
        """Return the step that failed; None where the peer answers."""
        return None if self.steps[-1].good else self.steps[-1]

    def as_values(self) -> list[dict[str, Any]]:
        """Return the steps for JSON."""
        return [{**asdict(step), "seconds": round(step.seconds, 4)} for step in self.steps]


def probe(ae_title: str, peer: Destination | ArchivePeer) -> Probe:
    """Try a peer; every outcome is an answer, none an exception."""
    started = time.monotonic()
    try:
        found = socket.getaddrinfo(peer.host, peer.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        reason = f"the name {peer.host} cannot be resolved"
        return Probe((Step("address", good=False, detail=reason, seconds=_since(started)),))
    address = str(found[0][4][0])
    seconds = min(peer.timeout_seconds, LONGEST_SECONDS)
    trial = _Trial(
        peer, seconds, Step("address", good=True, detail=address, seconds=_since(started))
    )
    try:
        hurried = peer.model_copy(update={"timeout_seconds": seconds})
        scu.echo(ae_title, hurried, trial.passed)
    except PeerError as error:
        return trial.stopped(error)
    trial.add("echo", good=True, detail="answered with success")
    return Probe(tuple(trial.steps))


class _Trial:
    """The steps of one trial as they pass."""

    def __init__(
        self, peer: Destination | ArchivePeer, patience_seconds: float, first: Step
    ) -> None:
        self.peer = peer
        self.patience_seconds = patience_seconds
        self.steps = [first]
        self._began = time.monotonic()

    def add(self, name: StepName, *, good: bool, detail: str) -> None:
        """Note a step that has just ended."""
        self.steps.append(Step(name, good, detail, _since(self._began)))
        self._began = time.monotonic()

    def passed(self, name: str) -> None:
        """Note what the SCU says has been reached."""
        if name == "tcp":
            self.add("tcp", good=True, detail=f"port {self.peer.port} is open")
        else:
            self.add("association", good=True, detail=f"accepted by {self.peer.ae_title}")

    def stopped(self, error: PeerError) -> Probe:
        """Return the steps, the last one the one that failed."""
        name = STEPS[len(self.steps)]
        if name == "tcp":
            detail = _why_no_connection(self.peer, self.patience_seconds)
        elif _since(self._began) >= self.patience_seconds:
            detail = f"timed out: no answer within {self.patience_seconds:g} s"
        elif isinstance(error, AssociationError) and "cannot be reached" in str(error):
            detail = "aborted by the peer, or the connection was closed"
        else:
            detail = str(error)
        self.add(name, good=False, detail=detail)
        return Probe(tuple(self.steps))


def _why_no_connection(peer: Destination | ArchivePeer, patience_seconds: float) -> str:
    """Return why the port could not be reached, by trying it once more."""
    where = f"{peer.host}, port {peer.port}"
    try:
        socket.create_connection((peer.host, peer.port), timeout=patience_seconds).close()
    except ConnectionRefusedError:
        return f"refused: nothing listens at {where}"
    except TimeoutError:
        return f"timed out: {where} does not answer within {patience_seconds:g} s"
    except OSError as error:
        return f"not reachable: {where} ({error.strerror or type(error).__name__})"
    return f"{where} did not answer at first, and does now: try again"


def _since(moment: float) -> float:
    return time.monotonic() - moment
