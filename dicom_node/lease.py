"""A claim that is kept alive while its work goes on, so that a dead process's ends soon."""

from __future__ import annotations

import contextvars
import threading
from typing import TYPE_CHECKING, Protocol, Self

import structlog
from sqlalchemy.exc import SQLAlchemyError

if TYPE_CHECKING:
    from types import TracebackType

    from sqlalchemy.orm import Session

    from dicom_node.db import Database

log = structlog.get_logger()


class Renew(Protocol):
    """`dicom_node.jobs.renew` or `dicom_node.deliveries.renew`."""

    def __call__(self, session: Session, item_id: int, owner: str, lease_seconds: float, /) -> bool:
        """Lengthen the lease; False where it is lost."""
        ...


class Lease:
    """Renews a claim three times in its length, from a thread, until it is left."""

    def __init__(
        self, database: Database, renew: Renew, item_id: int, owner: str, lease_seconds: float
    ) -> None:
        self._database, self._renew = database, renew
        self._item_id, self._owner, self._seconds = item_id, owner, lease_seconds
        self._done = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Begin to renew; what the thread logs belongs to the same job."""
        run = contextvars.copy_context().run
        self._thread = threading.Thread(target=run, args=(self._run,), name="lease", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop renewing."""
        self._done.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._done.wait(self._seconds / 3):
            try:
                with self._database.write() as session:
                    if not self._renew(session, self._item_id, self._owner, self._seconds):
                        return  # lost: the final compare-and-swap will not find it ours
            except SQLAlchemyError as error:
                log.warning("lease not renewed", item=self._item_id, error=type(error).__name__)
