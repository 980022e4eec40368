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
    false,
)
from sqlalchemy import types as sqltypes
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import ConnectionPoolEntry

from dicom_node.states import DeliveryState, JobState, Priority, RetrievalState

BUSY_TIMEOUT_MS = 30_000
CONNECT_SECONDS = 10
UID_LENGTH = 64
COLLATION = "C"
"""Of PostgreSQL's text that is searched by its beginning: in order of its bytes, as in SQLite."""


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
    """A `StrEnum` of states, or of priorities, as text."""

    impl = String(16)
    cache_ok = True

    def __init__(self, states: type[JobState | DeliveryState | Priority | RetrievalState]) -> None:
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
        Priority: StateColumn(Priority),
        RetrievalState: StateColumn(RetrievalState),
        dict[str, Any]: JSON,
        list[dict[str, Any]]: JSON(none_as_null=True),
        list[str]: JSON,
    }


LISTED = ("state", "calling_ae_title", "determination", "undelivered")
"""Columns of a job that the list filters by."""


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
    series_instance_uid: Mapped[str] = mapped_column(String(UID_LENGTH), index=True)
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
    patient_name_key: Mapped[str] = mapped_column(
        String(64).with_variant(String(64, collation=COLLATION), "postgresql"),
        default="",
        server_default="",
        index=True,
    )
    accession_number: Mapped[str] = mapped_column(
        String(64), default="", server_default="", index=True
    )


class JobRow(Table):
    """One assessment of one instance. ``state`` is written by `dicom_node.jobs` alone.

    ``calling_ae_title`` and ``study_date`` repeat what the instance says, ``determination`` what
    the finding says, and ``undelivered`` that a delivery was given up: the list filters and sorts
    a million jobs by them. ``updated_at`` is when the job came to its present state.

    ``weights`` are those that a person asked for (None: those of the configuration), and
    ``weights_version`` those that answered. ``accepted`` says who overruled a rejection.
    """

    __tablename__ = "job"
    __table_args__ = (
        Index("ix_job_state_id", "state", "id"),
        # One index for each order of the list: it holds all that the list filters by, so that
        # what does not fit is passed over without its row being read.
        Index("ix_job_by_received", "created_at", "id", *LISTED),
        # It also finds the radiographs of some days, for searches of DICOMweb.
        Index("ix_job_by_study_date", "study_date", "id", *LISTED, "created_at", "instance_id"),
        Index("ix_job_by_bone_age", "bone_age_months", "id", *LISTED, "created_at"),
        Index("ix_job_by_change", "updated_at", "id", *LISTED, "created_at"),
        # One for each filter, where few jobs fit it.
        *(Index(f"ix_job_{name}_created_at_id", name, "created_at", "id") for name in LISTED[:3]),
    )

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
    calling_ae_title: Mapped[str] = mapped_column(String(16), default="", server_default="")
    study_date: Mapped[str] = mapped_column(String(8), default="", server_default="")
    determination: Mapped[str | None] = mapped_column(String(16))
    undelivered: Mapped[bool] = mapped_column(default=False, server_default=false())
    priority: Mapped[Priority] = mapped_column(
        default=Priority.NORMAL, server_default=Priority.NORMAL.value
    )
    weights: Mapped[str | None] = mapped_column(String(64))
    accepted: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class NoteRow(Table):
    """What a person wrote on a job; it may speak of the patient, so it is never logged."""

    __tablename__ = "note"

    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"), index=True)
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(128))
    text: Mapped[str]


class BatchRow(Table):
    """One action on many jobs, done a few at a time; see `dicom_node.batches`.

    ``total`` is None until every member is there; members up to ``cursor`` have had their turn.
    """

    __tablename__ = "batch"

    id: Mapped[int] = mapped_column(primary_key=True)
    actor: Mapped[str] = mapped_column(String(128))
    action: Mapped[str] = mapped_column(String(16))
    settings: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    finished_at: Mapped[datetime | None] = mapped_column(index=True)
    cancelled_by: Mapped[str | None] = mapped_column(String(128))
    total: Mapped[int | None]
    done: Mapped[int] = mapped_column(default=0)
    skipped: Mapped[int] = mapped_column(default=0)
    cursor: Mapped[int] = mapped_column(default=0)


class BatchMemberRow(Table):
    """One job of a batch: the re-run that was made of it, or why it was skipped."""

    __tablename__ = "batch_member"

    batch_id: Mapped[int] = mapped_column(ForeignKey("batch.id"), primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"), primary_key=True)
    rerun_id: Mapped[int | None] = mapped_column(ForeignKey("job.id"))
    skipped_because: Mapped[str | None]


class EventRow(Table):
    """One move of a job or of one of its deliveries: who, when, why."""

    __tablename__ = "event"
    __table_args__ = (Index("ix_event_to_state_at", "to_state", "at"),)

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
    series_instance_uid: Mapped[str] = mapped_column(String(UID_LENGTH), index=True)
    series_number: Mapped[int]
    instance_number: Mapped[int]
    path: Mapped[str]
    sha256: Mapped[str] = mapped_column(String(64))


class JobFileRow(Table):
    """A file that a job keeps for itself and that is never sent, such as its heatmap."""

    __tablename__ = "job_file"

    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id"), index=True)
    kind: Mapped[str] = mapped_column(String(16))
    path: Mapped[str]
    sha256: Mapped[str] = mapped_column(String(64))


class DeliveryRow(Table):
    """One job's results on their way to one destination."""

    __tablename__ = "delivery"
    __table_args__ = (
        UniqueConstraint("job_id", "destination"),
        Index("ix_delivery_state_next_attempt_at", "state", "next_attempt_at"),
        Index("ix_delivery_state_destination_job_id", "state", "destination", "job_id"),
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


class AccountRow(Table):
    """One who may log in to the worklist page; ``worklist.accounts`` writes it.

    ``key`` is the name without its case. ``password_hash`` is None where an OpenID provider vouches
    for the user, who is then known by ``issuer`` and ``issuer_subject``.
    """

    __tablename__ = "account"
    __table_args__ = (UniqueConstraint("issuer", "issuer_subject"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    key: Mapped[str] = mapped_column(String(128), unique=True)
    role: Mapped[str] = mapped_column(String(16))
    password_hash: Mapped[str | None]
    issuer: Mapped[str | None] = mapped_column(String(255))
    issuer_subject: Mapped[str | None] = mapped_column(String(255))
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]
    last_login_at: Mapped[datetime | None]


class WebSessionRow(Table):
    """One browser that is logged in, known by the SHA-256 of the token in its cookie."""

    __tablename__ = "web_session"

    token_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), index=True)
    created_at: Mapped[datetime] = mapped_column(index=True)
    seen_at: Mapped[datetime]


class ApiTokenRow(Table):
    """What a program shows in place of a password, known by its SHA-256."""

    __tablename__ = "api_token"

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), index=True)
    name: Mapped[str] = mapped_column(String(64))
    token_sha256: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class LoginFailureRow(Table):
    """Failed logins of one name or one address, and until when the next one has to wait."""

    __tablename__ = "login_failure"

    key: Mapped[str] = mapped_column(String(80), primary_key=True)
    failures: Mapped[int]
    last_at: Mapped[datetime] = mapped_column(index=True)
    blocked_until: Mapped[datetime]


class AuditRow(Table):
    """Who did what to what, and when; rows are only ever added. See `dicom_node.audit`."""

    __tablename__ = "audit"
    __table_args__ = (Index("ix_audit_actor_id", "actor", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(128))
    action: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(128))
    detail: Mapped[str]


class TallyRow(Table):
    """How often something happened in one hour, counted once the hour was over.

    See `dicom_node.tally`. ``hour`` is in hours since 1970-01-01 00:00 UTC.
    """

    __tablename__ = "tally"

    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    hour: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    label: Mapped[str] = mapped_column(String(16), primary_key=True)
    destination: Mapped[str] = mapped_column(String(64), primary_key=True)
    number: Mapped[int]
    seconds: Mapped[float]


class MarkRow(Table):
    """Up to which moment something has been looked at."""

    __tablename__ = "mark"

    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    at: Mapped[datetime]


class EchoRow(Table):
    """The last C-ECHO to one destination; see `dicom_node.echoes`."""

    __tablename__ = "echo"

    destination: Mapped[str] = mapped_column(String(64), primary_key=True)
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    failed_step: Mapped[str | None] = mapped_column(String(16))
    failing_since: Mapped[datetime | None]
    failures: Mapped[int] = mapped_column(default=0)
    steps: Mapped[list[dict[str, Any]] | None]


class NoticeRow(Table):
    """One message to one webhook, kept until it was taken; see `dicom_node.webhooks`."""

    __tablename__ = "notice"
    __table_args__ = (
        UniqueConstraint("url", "key"),
        Index("ix_notice_ended_at_next_attempt_at", "ended_at", "next_attempt_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    url: Mapped[str]
    key: Mapped[str] = mapped_column(String(160))
    body: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    taken: Mapped[bool] = mapped_column(default=False)


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
