"""The dashboard: what it counts, on which indices, and its page in a browser."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select, text, update

from dicom_node import drift, echoes, migrations, tally
from dicom_node.broker import Broker
from dicom_node.config import Config, DatabaseSection
from dicom_node.db import Database, EventRow, MarkRow, TallyRow, now
from dicom_node.node import Node
from dicom_node.states import DeliveryState
from dicom_node.storage import Storage
from tests.web.browser import DESK_PX, PHONE_PX, complaints_of, faults_of, known_as
from tests.web.conftest import Jobs
from tests.web.history import write_heartbeats, write_history
from worklist import statistics
from worklist.plots import nice_ceiling, seconds_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx
    from playwright.sync_api import Browser


DESTINATIONS = """
destinations:
  - {name: PACS, ae_title: ARCHIVE, host: 127.0.0.1, port: 1}
  - {name: Research, ae_title: RESEARCH, host: no-such-host.invalid, port: 104}
"""


FETCH_AGAIN = """
htmx.ajax("GET", "/dashboard/live?span=hour", {source: "#live", target: "#live"})
"""
"""What the page does every 10 s."""


@pytest.fixture(params=["sqlite", "postgresql"])
def any_node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Node]:
    """Return a node with an empty database of either kind, its broker away."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'node.db'}"
    else:
        url = request.getfixturevalue("postgresql")
    config = Config(data_directory=tmp_path, database=DatabaseSection(url=url))
    migrations.upgrade(config)
    node = Node(config, Database(url), Storage(tmp_path), Broker("redis://127.0.0.1:1/0"))
    yield node
    node.close()


def counts_of(entries: list[tally.Entry]) -> dict[tuple[str, str, str], int]:
    """Return how often each thing happened, over all hours."""
    found: dict[tuple[str, str, str], int] = {}
    for entry in entries:
        key = (entry.kind, entry.label, entry.destination)
        found[key] = found.get(key, 0) + entry.number
    return found


def make_some(node: Node) -> None:
    """Let two jobs be sent, one of which had to be sent again, one fail, and one be rejected."""
    make = Jobs(node)
    make.rejected("no hand")
    make.failed("the assessment failed: OSError")
    for again in (False, True):
        job_id, deliveries = make.reported(100.0, destinations=("PACS",))
        make.deliver(deliveries[0], DeliveryState.REFUSED if again else DeliveryState.SENT)
        make.settle(job_id)
        if again:
            from dicom_node import deliveries as moves

            with node.database.write() as session:
                moves.retry(session, job_id, "test")
            make.deliver(deliveries[0], DeliveryState.SENT)
            make.settle(job_id)


def test_moves_are_counted_whether_their_hour_is_closed_or_not(any_node: Node) -> None:
    node = any_node
    make_some(node)
    with node.database.read() as session:
        live = counts_of(tally.totals(session))
    assert live["job", "received", ""] == 4
    assert live["job", "reported", ""] == 2, "sent again is not assessed again"
    assert live["job", "failed", ""] == 2
    assert live["job", "sent", ""] == 2
    assert live["delivery", "sending", "PACS"] == 3
    assert sum(n for (kind, _, _), n in live.items() if kind == "latency") == 2
    with node.database.write() as session:
        session.execute(update(EventRow).values(at=now() - timedelta(hours=2)))
    assert tally.close_hours(node.database) > 0
    assert tally.close_hours(node.database) == 0
    with node.database.write() as session:
        session.execute(text("DELETE FROM event"))  # only what was counted is left
    with node.database.read() as session:
        closed = counts_of(tally.totals(session))
        by_hour = counts_of(tally.hours(session, now() - timedelta(hours=5)))
    assert {key: n for key, n in closed.items() if key[0] != "latency"} == {
        key: n for key, n in live.items() if key[0] != "latency"
    }
    assert by_hour == closed


def test_two_sweepers_count_an_hour_once(any_node: Node) -> None:
    """The one that read the mark before the other moved it adds nothing."""
    make_some(any_node)
    with any_node.database.write() as session:
        session.execute(update(EventRow).values(at=now() - timedelta(hours=2)))
    tally.close_hours(any_node.database)
    stale = MarkRow(name=tally.MARK, at=tally.EPOCH)
    with any_node.database.write() as session:
        assert not tally._move_mark(session, stale, now())


def test_ages_are_counted_by_week(any_node: Node) -> None:
    write_history(any_node, 40, 20)
    with any_node.database.read() as session:
        before = drift.look(session)
    assert tally.close_hours(any_node.database) > 24
    with any_node.database.read() as session:
        after = drift.look(session)
        assert before == after
        assert sum(week.spread.count for week in after.weeks) == sum(
            n
            for (kind, label, _), n in counts_of(tally.totals(session)).items()
            if (kind, label) == ("job", "reported")
        )
    assert after.chance is None
    assert not after.alert


def test_old_hours_are_forgotten_and_their_sum_is_kept(any_node: Node) -> None:
    write_history(any_node, 30, 100)
    tally.close_hours(any_node.database)
    with any_node.database.read() as session:
        query = select(func.min(TallyRow.hour)).where(
            TallyRow.kind == "job", TallyRow.hour > tally.EVER
        )
        oldest = session.scalar(query)
        assert oldest is not None
        assert oldest >= tally.hour_of(now()) - tally.KEPT_HOURS
        assert counts_of(tally.totals(session))["job", "received", ""] == 30


@pytest.mark.parametrize(
    "query", [tally.job_moves, tally.delivery_moves, tally.latencies, tally.deviations]
)
def test_events_are_found_by_index(any_node: Node, query: Callable[..., Any]) -> None:
    """However many jobs there are, only the events of the hours that were asked for are read."""
    dialect = any_node.database.engine.dialect
    statement = query(now() - timedelta(hours=1), now())
    words = str(statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    with any_node.database.engine.connect() as connection:
        if any_node.database.backend == "postgresql":  # with a handful of rows it would not
            connection.execute(text("SET enable_seqscan = off"))
        sqlite = any_node.database.backend == "sqlite"
        explain = f"EXPLAIN {'QUERY PLAN ' if sqlite else ''}{words}"
        rows = connection.exec_driver_sql(explain if sqlite else explain.replace("%", "%%"))
        plan = "\n".join(str(row[-1]) for row in rows)
    assert "ix_event_to_state_at" in plan
    assert "SCAN event" not in plan
    assert "Seq Scan on event" not in plan


def test_the_backlog(any_node: Node) -> None:
    make = Jobs(any_node)
    first, _ = make.reported(100.0, destinations=("PACS",))
    make.reported(100.0, destinations=("PACS", "Research"))
    with any_node.database.read() as session:
        found = statistics.backlog(session)
        assert {name: number for name, (number, _) in found.items()} == {"PACS": 2, "Research": 1}
        oldest, newest = found["PACS"][1], found["Research"][1]
    assert oldest is not None
    assert newest is not None
    assert oldest < newest
    assert first == 1


def test_percentiles() -> None:
    """As histogram_quantile: evenly spread within a bucket."""
    from collections import Counter

    assert statistics.percentile(Counter(), 0.5) is None
    assert statistics.percentile(Counter({"10": 4}), 0.5) == pytest.approx(8.5)
    assert statistics.percentile(Counter({"1": 50, "10": 50}), 0.95) == pytest.approx(9.7)
    assert statistics.percentile(Counter({"+Inf": 1}), 0.5) == 86_400


def test_words_and_scales() -> None:
    assert [seconds_words(s) for s in (8.5, 60, 150, 7200, 200_000)] == [
        "8.5 s",
        "60 s",
        "2.5 min",
        "2.0 h",
        "2 d",
    ]
    assert [nice_ceiling(v) for v in (0, 3, 7, 11, 41, 99)] == [4, 4, 8, 20, 50, 100]


def test_both_spans(node: Node, make: Jobs, client: httpx.Client) -> None:
    make.reported(100.0, PatientName="Secret^Name", PatientID="SECRET-1")
    for span, number in (("hour", 24), ("day", 30)):
        found = client.get("/api/dashboard", params={"span": span}).json()
        assert len(found["activity"]["periods"]) == number
        assert found["activity"]["counts"]["assessed"] == 1
        assert found["activity"]["periods"][-1]["counts"]["received"] == 1
        answer = client.get("/dashboard/live", params={"span": span})
        assert answer.status_code == 200
        assert "SECRET" not in answer.text.upper()
    assert client.get("/dashboard?span=year").status_code == 400
    del node


@pytest.fixture
def drifting(
    make_node: Callable[[str], Node], client_of: Callable[[Node], httpx.Client]
) -> httpx.Client:
    """Return a client of a node with a history, in which ages move, and destinations are away."""
    node = make_node(DESTINATIONS)
    client = client_of(node)
    write_history(node, 1500, 200, recent_shift_months=8)
    write_heartbeats(node)
    tally.close_hours(node.database)
    echoes.run_due(node)
    return client


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # pynetdicom leaves it
def test_in_a_browser(drifting: httpx.Client, browser: Browser) -> None:
    """With an alert and with peers that are away it is for everyone, and keeps itself new."""
    page = browser.new_page(**known_as(drifting))
    complaints = complaints_of(page)
    for width_px in (PHONE_PX, DESK_PX):
        page.set_viewport_size({"width": width_px, "height": 900})
        for address in ("/dashboard?span=day", "/connections"):
            page.goto(address)
            assert (address, width_px, faults_of(page, width_px)) == (address, width_px, [])
    page.goto("/dashboard")
    assert page.locator("svg.plot").count() == 7
    assert "has moved by" in page.locator("#live").inner_text()
    assert "refused" in page.locator("#live").inner_text()
    page.locator("#drift-table summary").click()
    with page.expect_response("**/dashboard/live?span=hour"):
        page.evaluate(FETCH_AGAIN)
    page.locator("#drift-table[open]").wait_for()
    page.close()
    assert complaints == []
