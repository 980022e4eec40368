"""The plans of every query that the list can ask, on both databases: none reads a whole table."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from contextlib import ExitStack
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, select, text

from dicom_node import migrations
from dicom_node.db import Database, InstanceRow, JobRow, now
from dicom_node.states import DeliveryState, JobState
from tests.db.conftest import config_for
from worklist import dicomweb_narrow, listing
from worklist.bulk import Bulk
from worklist.dicomweb_keys import read_keys
from worklist.dicomweb_query import search
from worklist.dicomweb_store import Address
from worklist.filters import SORTS, Cursor, Filters
from worklist.invented import Inventor
from worklist.listing import Listing, conditions, pick, walk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Select
    from sqlalchemy.orm import Session

    from tests.peers import PostgreSql

JOBS = 3000

FILTERS: dict[str, dict[str, Any]] = {
    "state": {"states": (JobState.SENT,)},
    "states": {"states": (JobState.FAILED, JobState.REJECTED)},
    "day": {"since": date(2026, 1, 1), "until": date(2026, 1, 1)},
    "days": {"days": 7},
    "caller": {"caller": "CR_ROOM_1"},
    "determination": {"determination": ("advanced", "delayed")},
    "delivery": {"delivery": (DeliveryState.REFUSED, DeliveryState.EXHAUSTED)},
    "destination": {"destination": "PACS"},
    "delivery there": {"destination": "PACS", "delivery": (DeliveryState.SENT,)},
    "text": {"text": "phantom-a"},
}
PAIRS = [*map(list, itertools.combinations(FILTERS, 2))]
CHOSEN = [[], *([name] for name in FILTERS), *PAIRS, ["state", "days", "caller", "determination"]]

ROW_READ = re.compile(r"^SCAN (job|instance|delivery|event)(?! USING COVERING INDEX)")
SORTED = "USE TEMP B-TREE FOR ORDER BY"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def filled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    """Return a database of some thousand jobs, that the tests only read."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            template = request.getfixturevalue("sqlite_template")
            url = f"sqlite:///{shutil.copy(template, tmp_path_factory.mktemp('listing'))}"
        else:
            server: PostgreSql = request.getfixturevalue("postgresql_server")
            url = stack.enter_context(server.database())
            migrations.upgrade(config_for(url))
        database = Database(url)
        stack.callback(database.dispose)
        bulk = Bulk(database)
        inventor = Inventor(JOBS, now(), first_id=1, quiet_days=0, is_brief=True)
        for made in inventor.batches(JOBS):
            bulk.write(made.tables())
        bulk.close()
        yield database


@pytest.fixture
def session(filled: Database) -> Iterator[Session]:
    with filled.read() as opened:
        yield opened


def plan(session: Session, query: Select[*tuple[Any, ...]]) -> list[str]:
    """Return what the database would do, a step a line."""
    dialect = session.get_bind().dialect
    compiled = query.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    values = compiled.construct_params()
    processors: dict[str, Any] = dict(compiled._bind_processors)
    values = {
        name: processors[name](value) if name in processors else value
        for name, value in values.items()
    }
    names = compiled.positiontup
    ordered = values if names is None or not compiled.positional else [values[n] for n in names]
    return explained(session, str(compiled), ordered)


def explained(session: Session, statement: str, values: Any) -> list[str]:  # noqa: ANN401
    """Return what the database would do for a statement, a step a line."""
    dialect = session.get_bind().dialect
    driver = session.connection().connection.cursor()
    words = {"sqlite": "EXPLAIN QUERY PLAN ", "postgresql": "EXPLAIN (FORMAT JSON) "}
    driver.execute(words[dialect.name] + statement, values)
    rows = driver.fetchall()
    if dialect.name == "sqlite":
        return [str(row[3]) for row in rows]
    found = rows[0][0]
    return list(steps((json.loads(found) if isinstance(found, str) else found)[0]["Plan"]))


def steps(node: dict[str, Any]) -> Iterator[str]:
    """Yield the steps of PostgreSQL's plan."""
    names = (node.get("Relation Name"), node.get("Index Name"))
    yield " ".join([node["Node Type"], *filter(None, names)])
    for inner in node.get("Plans", ()):
        yield from steps(inner)


def assert_reads_no_table(lines: list[str]) -> None:
    for line in lines:
        assert not ROW_READ.match(line), lines
        assert not line.startswith("Seq Scan"), lines


def assert_is_walked(lines: list[str], filters: Filters) -> None:
    """Check that the index of the order leads, and that nothing is sorted afterwards."""
    assert_reads_no_table(lines)
    assert not any(line.startswith((SORTED, "Sort", "Incremental Sort")) for line in lines), lines
    indices = {
        "created_at": "ix_job_(by_received|[a-z_]+_created_at_id)",
        "study_date": "ix_job_by_study_date",
        "bone_age_months": "ix_job_by_bone_age",
        "updated_at": "ix_job_by_change",
    }
    assert any(re.search(indices[filters.order.column], line) for line in lines), lines
    assert any("COVERING INDEX" in line or "Index Only Scan" in line for line in lines), lines


KEYS: dict[str, Any] = {"study_date": "20260101", "bone_age_months": 100.0}


def test_every_filter_and_order_is_walked_in_its_index(session: Session) -> None:
    """As where much fits each filter: no row is read but those of the page."""
    for names, sort in itertools.product(CHOSEN, SORTS):
        if "text" in names:  # never walked: a text fits few, or is refused
            continue
        chosen: dict[str, Any] = {}
        for name in names:
            chosen |= FILTERS[name]
        filters = Filters(**chosen, sort=sort)
        Listing(session, filters)
        if session.get_bind().dialect.name == "postgresql":
            session.execute(text(listing.WALKING))
        key = KEYS.get(filters.order.column, now())
        for cursor in (None, Cursor(key, 50), Cursor(key, 50, forward=False)):
            query = walk(filters, conditions(filters), cursor).limit(51)
            assert_is_walked(plan(session, query), filters)


def test_every_filter_is_counted_and_picked_in_an_index(session: Session) -> None:
    """As where little fits one of the filters: its jobs are looked up one by one."""
    Listing(session, Filters())
    for names in CHOSEN:
        chosen: dict[str, Any] = {}
        for name in names:
            chosen |= FILTERS[name]
        filters = Filters(**chosen)
        every = conditions(filters)
        for one in every:
            assert_reads_no_table(plan(session, one.found.limit(10)))
            lines = plan(session, pick(filters, every, one))
            assert_reads_no_table(lines)
            if session.get_bind().dialect.name == "sqlite":
                assert "SEARCH job USING INTEGER PRIMARY KEY (rowid=?)" in lines, lines


@pytest.mark.parametrize("narrow", [0, 20, listing.NARROW])
def test_both_ways_find_the_same(
    session: Session, monkeypatch: pytest.MonkeyPatch, narrow: int
) -> None:
    """Whatever way is taken, pages to and fro show the jobs that the filters say, each once."""
    monkeypatch.setattr(listing, "NARROW", narrow)
    for names, sort in itertools.product(CHOSEN[:14], SORTS):
        chosen: dict[str, Any] = {}
        for name in names:
            chosen |= FILTERS[name]
        filters = Filters(**chosen, sort=sort)
        if filters.text and narrow < 64:
            continue
        every = conditions(filters)
        wanted = sorted(
            session.execute(
                select(getattr(JobRow, filters.order.column), JobRow.id).where(
                    *(one.fits for one in every), *listing._extra(filters)
                )
            ).all(),
            reverse=filters.order.descending,
        )
        ids = [job_id for _, job_id in wanted]
        found = Listing(session, filters)
        first = found.page(size=7)
        assert first.job_ids == ids[:7]
        assert first.count == (len(ids) if len(ids) <= narrow else None)
        assert first.previous is None
        assert set(ids[:5]) == found.among(ids[:5])
        if len(ids) > 14:
            second = found.page(first.following, size=7)
            assert second.job_ids == ids[7:14]
            back = found.page(second.previous, size=7)
            assert back.job_ids == first.job_ids
            assert back.previous is None
        assert list(found.all_ids()) == ids


def test_ties_are_shown_once(session: Session) -> None:
    """Many jobs have one study date: their numbers decide."""
    session.connection().exec_driver_sql("SELECT 1")
    filters = Filters(sort="study")
    seen: list[int] = []
    cursor: Cursor | None = None
    for _ in range(JOBS):
        page = Listing(session, filters).page(cursor, size=100)
        seen += page.job_ids
        cursor = page.following
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == JOBS


def test_a_text_that_fits_too_many(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "NARROW", 20)
    with pytest.raises(listing.TooManyError):
        Listing(session, replace(Filters(), text="PHANTOM"))


def test_names_and_identifiers_are_found(session: Session) -> None:
    name, patient_id, accession, study = session.execute(
        text(
            "SELECT patient_name_key, patient_id, accession_number, study_instance_uid "
            "FROM instance WHERE id = 1500"
        )
    ).one()
    for words in (name, name[:-3].upper(), patient_id, accession, study):
        assert 1500 in Listing(session, Filters(text=words)).page(size=JOBS).job_ids, words
    assert Listing(session, Filters(text=study)).page().job_ids == [1500]
    assert Listing(session, Filters(text="%")).page().job_ids == []


SEARCHES = [
    {"PatientName": "phantom-a*"},
    {"PatientName": "Phantom-b^Ada"},
    {"AccessionNumber": "PH00000007"},
    {"StudyDate": "20260101"},
    {"StudyDate": "20260101-20261231"},
    {"StudyDate": "20260101-", "PatientName": "phantom*"},
]


@pytest.mark.parametrize("few", [0, listing.NARROW])
def test_searches_of_dicomweb_go_by_an_index(
    session: Session, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    """Whether few fit a key or many: no table is read as a whole."""
    monkeypatch.setattr(dicomweb_narrow, "NARROW", few)
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:  # noqa: ANN401
        if statement.startswith(("SELECT instance", "SELECT count")):
            asked.append((statement, values))

    engine = session.get_bind()
    event.listen(engine, "before_cursor_execute", note)
    try:
        for query in SEARCHES:
            keys = read_keys("studies", query.items())
            search(session, "studies", Address(), keys, "http://node")
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert len(asked) > len(SEARCHES)
    for statement, values in asked:
        lines = explained(session, statement, values)
        # A walk of SQLite from the newest is a scan by the primary key: of the leading table.
        assert_reads_no_table([line for line in lines if line != "SCAN instance"])


@pytest.mark.parametrize("few", [0, 5, listing.NARROW])
def test_searches_find_the_same_by_whatever_way(
    session: Session, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    headers = session.execute(select(InstanceRow.id, InstanceRow.header)).all()
    first, last = sorted(str(header["StudyDate"]) for _, header in headers)[:: len(headers) - 1]
    family = str(headers[-1][1]["PatientName"]).partition("^")[0]
    monkeypatch.setattr(dicomweb_narrow, "NARROW", few)
    for query, fits in (
        (
            {"PatientName": f"{family.upper()}^*"},
            lambda h: h["PatientName"].startswith(f"{family}^"),
        ),
        ({"StudyDate": last}, lambda h: h["StudyDate"] == last),
        ({"StudyDate": f"{first}-{last}"}, lambda h: bool(h["StudyDate"])),
    ):
        keys = read_keys("instances", [*query.items(), ("limit", "1000")])
        found = search(session, "instances", Address(), keys, "http://node")
        wanted = [number for number, header in headers if fits(header)]
        uids = session.scalars(
            select(InstanceRow.sop_instance_uid)
            .where(InstanceRow.id.in_(wanted))
            .order_by(InstanceRow.id.desc())
            .limit(1000)
        ).all()
        assert uids
        assert [one["00080018"]["Value"][0] for one in found.matches] == list(uids)
