"""The tables, and the two ways to a session: SQLite for one machine, PostgreSQL beyond."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    Dialect,
    Engine,
    ForeignKey,
    Index,
    MetaData,
    String,
    TypeDecorator,
    UniqueConstraint,
    create_engine,
    event,
)
from sqlalchemy import types as sqltypes
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import ConnectionPoolEntry

from dicom_node.states import DeliveryState, JobState, RetrievalState

BUSY_TIMEOUT_MS = 30_000
CONNECT_SECONDS = 10
UID_LENGTH = 64


def now() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(UTC)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC; SQLite forgets time zones, so it is given back here."""

    impl = sqltypes.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store UTC; a moment without a zone is a defect."""
        del dialect
        if value is not None and value.tzinfo is None:
            msg = "a moment without a time zone"
            raise ValueError(msg)
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the zone back; PostgreSQL answers in the zone of its server."""
        del dialect
        return None if value is None else value.replace(tzinfo=value.tzinfo or UTC).astimezone(UTC)


class StateColumn(TypeDecorator[Any]):
    """A `StrEnum` of states as text."""

    impl = String(16)
    cache_ok = True

    def __init__(self, states: type[JobState | DeliveryState | RetrievalState]) -> None:
        super().__init__()
        self.states = states

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ANN401
        """Store the state's word."""
        del dialect
        return None if value is None else str(self.states(value))

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:  # noqa: ANN401
        """Return the enum's member."""
        del dialect
        return None if value is None else self.states(value)


class Table(DeclarativeBase):
    """Base of all tables; constraints get names, so that migrations can speak of them."""

    metadata: ClassVar[MetaData] = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime,
        JobState: StateColumn(JobState),
        DeliveryState: StateColumn(DeliveryState),
        RetrievalState: StateColumn(RetrievalState),
        dict[str, Any]: JSON,
        list[dict[str, Any]]: JSON(none_as_null=True),
        list[str]: JSON,
    }


class InstanceRow(Table):
    """One received SOP instance, in one revision; its file lies at ``path``."""

    __tablename__ = "instance"
    __table_args__ = (
        UniqueConstraint("sop_instance_uid", "sha256"),
        UniqueConstraint("sop_instance_uid", "revision"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    sop_instance_uid: Mapped[str] = mapped_column(String(UID_LENGTH))
    sop_class_uid: Mapped[str] = mapped_column(String(UID_LENGTH))
    study_instance_uid: Mapped[str] = mapped_column(String(UID_LENGTH), index=True)
    series_instance_uid: Mapped[str] = mapped_column(String(UID_LENGTH))
    transfer_syntax_uid: Mapped[str] = mapped_column(String(UID_LENGTH))
    revision: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    size_bytes: Mapped[int]
    path: Mapped[str]
    calling_ae_title: Mapped[str] = mapped_column(String(16))
    peer_address: Mapped[str] = mapped_column(String(64))
    received_at: Mapped[datetime]
    header: Mapped[dict[str, Any]]
    patient_id: Mapped[str] = mapped_column(default="", server_default="", index=True)
    issuer_of_patient_id: Mapped[str] = mapped_column(default="", server_default="")


class JobRow(Table):
    """One assessment of one instance. ``state`` is written by `dicom_node.jobs` alone."""

    __tablename__ = "job"
    __table_args__ = (Index("ix_job_state_id", "state", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    instance_id: Mapped[int] = mapped_column(ForeignKey("instance.id"), index=True)
    state: Mapped[JobState]
    reason: Mapped[str | None]
    outcome: Mapped[str | None] = mapped_column(String(16))
    rerun_of: Mapped[int | None] = mapped_column(ForeignKey("job.id"), index=True)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(default=0)
    lease_owner: Mapped[str | None] = mapped_column(String(128))
    lease_until: Mapped[datetime | None]
    enqueued_at: Mapped[datetime | None]
    bone_age_months: Mapped[float | None]
    weights_version: Mapped[str | None]
    finding: Mapped[dict[str, Any] | None]
    corrections: Mapped[list[dict[str, Any]] | None]


class EventRow(Table):
    """One move of a job or of one of its deliveries: who, when, why."""

    __tablename__ = "event"

    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"), index=True)
    delivery_id: Mapped[int | None] = mapped_column(ForeignKey("delivery.id"))
    at: Mapped[datetime]
    from_state: Mapped[str | None] = mapped_column(String(16))
    to_state: Mapped[str] = mapped_column(String(16))
    actor: Mapped[str] = mapped_column(String(128))
    reason: Mapped[str | None]


class OutputRow(Table):
    """One result object, as it was made and as it is sent, ever the same."""

    __tablename__ = "output"

    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"), index=True)
    kind: Mapped[str] = mapped_column(String(8))
    sop_class_uid: Mapped[str] = mapped_column(String(UID_LENGTH))
    sop_instance_uid: Mapped[str] = mapped_column(String(UID_LENGTH), unique=True)
    series_instance_uid: Mapped[str] = mapped_column(String(UID_LENGTH))
    series_number: Mapped[int]
    instance_number: Mapped[int]
    path: Mapped[str]
    sha256: Mapped[str] = mapped_column(String(64))


class DeliveryRow(Table):
    """One job's results on their way to one destination."""

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("job_id", "destination"),
        Index("ix_delivery_state_next_attempt_at", "state", "next_attempt_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"))
    destination: Mapped[str] = mapped_column(String(64))
    state: Mapped[DeliveryState]
    reason: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    lease_owner: Mapped[str | None] = mapped_column(String(128))
    lease_until: Mapped[datetime | None]
    enqueued_at: Mapped[datetime | None]


class TransferRow(Table):
    """The last C-STORE status of one output at one destination."""

    __tablename__ = "transfer"

    delivery_id: Mapped[int] = mapped_column(ForeignKey("delivery.id"), primary_key=True)
    output_id: Mapped[int] = mapped_column(ForeignKey("output.id"), primary_key=True)
    status: Mapped[int]
    at: Mapped[datetime]


class EarlierResultRow(Table):
    """One bone age that a report of ours in the archive says; see `dicom_node.report_reading`.

    ``replaces`` holds the SOP instance UIDs of the reports that this one supersedes.
    """

    __tablename__ = "earlier_result"

    id: Mapped[int] = mapped_column(primary_key=True)
    sop_instance_uid: Mapped[str] = mapped_column(String(UID_LENGTH), unique=True)
    study_instance_uid: Mapped[str] = mapped_column(String(UID_LENGTH))
    patient_id: Mapped[str] = mapped_column(index=True)
    issuer_of_patient_id: Mapped[str]
    replaces: Mapped[list[str]]
    acquired_on: Mapped[date]
    laterality: Mapped[str | None] = mapped_column(String(1))
    chronological_age_months: Mapped[float | None]
    bone_age_months: Mapped[float]
    sd_months: Mapped[float]
    weights_version: Mapped[str]
    fetched_at: Mapped[datetime]


class RetrievalRow(Table):
    """One study that a person had an archive send. `dicom_node.retrievals` alone writes it.

    ``everything`` is False where only series are wanted that could be assessed; the four numbers
    are the archive's sub-operations.
    """

    __tablename__ = "retrieval"
    __table_args__ = (Index("ix_retrieval_state_id", "state", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    actor: Mapped[str] = mapped_column(String(128))
    archive: Mapped[str] = mapped_column(String(64))
    study_instance_uid: Mapped[str] = mapped_column(String(UID_LENGTH))
    everything: Mapped[bool]
    state: Mapped[RetrievalState]
    reason: Mapped[str | None]
    remaining: Mapped[int] = mapped_column(default=0)
    completed: Mapped[int] = mapped_column(default=0)
    failed: Mapped[int] = mapped_column(default=0)
    warning: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    lease_owner: Mapped[str | None] = mapped_column(String(128))
    lease_until: Mapped[datetime | None]
    enqueued_at: Mapped[datetime | None]


class HeartbeatRow(Table):
    """A running part of the node and when it last said so."""

    __tablename__ = "heartbeat"

    owner: Mapped[str] = mapped_column(String(128), primary_key=True)
    part: Mapped[str] = mapped_column(String(16), index=True)
    at: Mapped[datetime]
    detail: Mapped[str] = mapped_column(default="")


class Database:
    """An engine and its sessions.

    Parameters
    ----------
    url : str
        A SQLAlchemy URL, ``sqlite:///…`` or ``postgresql+psycopg://…``.
    """

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        self.backend = parsed.get_backend_name()
        if self.backend == "sqlite" and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        networked = self.backend != "sqlite"
        self.engine = create_engine(
            url,
            pool_pre_ping=networked,
            hide_parameters=True,  # an error must not carry a row's values into a log
            connect_args={"connect_timeout": CONNECT_SECONDS} if networked else {},
        )
        if self.backend == "sqlite":
            _prepare_sqlite(self.engine)

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Open a transaction that may write; it is committed at the end, else rolled back."""
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a transaction that only reads; on SQLite it takes no write lock."""
        engine = self.engine.execution_options(read_only=True)
        with Session(engine, expire_on_commit=False) as session:
            yield session

    def dispose(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _prepare_sqlite(engine: Engine) -> None:
    """WAL, every commit on the disk, writers that queue instead of failing."""

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: ConnectionPoolEntry) -> None:  # noqa: ANN401
        connection.isolation_level = None  # SQLAlchemy's own BEGIN below, not the driver's
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A deferred transaction that turns into a writer fails at once when another wrote
        # in between; one that is a writer from the start waits for its turn.
        read_only = connection.get_execution_options().get("read_only", False)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")
