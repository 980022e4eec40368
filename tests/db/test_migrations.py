"""The migrations on both databases: up, down, twice, two at once, and nothing left to do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from dicom_node import migrations
from dicom_node.db import Database, Table
from tests.db.conftest import config_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dicom_node.config import Config

PROJECT = Path(__file__).resolve().parents[2]
VERSION = "alembic_version"

LONG_ID = "".join(chr(0x4E00 + 7919 * number % 20000) for number in range(1024))
"""Longer than PostgreSQL can index, and without anything that compresses."""

INSTANCE = """
INSERT INTO instance (id, sop_instance_uid, sop_class_uid, study_instance_uid, series_instance_uid,
    transfer_syntax_uid, revision, sha256, size_bytes, path, calling_ae_title, peer_address,
    received_at, header)
VALUES (:id, '1.2.' || CAST(:id AS TEXT), '1', '1', '1', '1', 1, 'a', 1, 'p', 'M', 'h',
    '2026-01-01 00:00:00', :header)
"""
JOB = """
INSERT INTO job (id, instance_id, state, rerun_of, created_at, updated_at, attempts, finding)
VALUES (:id, :id, 'reported', :before, '2026-01-01 00:00:00', '2026-01-01 00:00:00', 0,
    '{"determination": "advanced"}')
"""
DELIVERY = """
INSERT INTO delivery (id, job_id, destination, state, attempts, next_attempt_at, updated_at)
VALUES (1, 2, 'PACS', 'refused', 1, '2026-01-01 00:00:00', '2026-01-01 00:00:00')
"""
EVENT = """
INSERT INTO event (id, job_id, at, to_state, actor)
VALUES (:id, :id, '2026-01-01 00:00:00', 'received', 'node')
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Config:
    """Return the configuration of a database with nothing in it."""
    if request.param == "sqlite":
        return config_for(f"sqlite:///{tmp_path / 'new' / 'node.db'}")
    return config_for(request.getfixturevalue("postgresql"))


@pytest.fixture
def tables(empty: Config) -> Iterator[Tables]:
    database = Database(empty.database_url)
    yield Tables(database)
    database.dispose()


class Tables:
    """What a database holds."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def names(self) -> set[str]:
        return set(inspect(self._database.engine).get_table_names())

    def indexes(self) -> set[str | None]:
        found = inspect(self._database.engine)
        return {
            index["name"] for table in Table.metadata.tables for index in found.get_indexes(table)
        }


def test_up_and_nothing_is_left_to_do(empty: Config, tables: Tables) -> None:
    migrations.upgrade(empty)
    assert tables.names() == {*Table.metadata.tables, VERSION}
    wanted = {index.name for table in Table.metadata.tables.values() for index in table.indexes}
    assert wanted <= tables.indexes()
    command.check(migrations.settings_for(empty))  # raises where a table has no migration
    migrations.upgrade(empty)
    assert tables.names() == {*Table.metadata.tables, VERSION}


def test_check_finds_what_has_no_migration(empty: Config) -> None:
    migrations.upgrade(empty)
    database = Database(empty.database_url)
    with database.write() as session:
        session.connection().exec_driver_sql("DROP INDEX ix_job_state_id")
    database.dispose()
    with pytest.raises(Exception, match="ix_job_state_id"):
        command.check(migrations.settings_for(empty))


def test_down_and_up_again(empty: Config, tables: Tables) -> None:
    settings = migrations.settings_for(empty)
    migrations.upgrade(empty)
    command.downgrade(settings, "base")
    assert tables.names() == {VERSION}
    migrations.upgrade(empty)
    command.check(settings)


HEADERS: tuple[dict[str, str], ...] = (
    {
        "PatientID": "TEST-1",
        "IssuerOfPatientID": "WARD",
        "PatientName": "Doe^Jane",
        "AccessionNumber": "A-1",
        "StudyDate": "2026.01.02",
    },
    {},
    {"PatientID": LONG_ID},
)


def test_rows_live_through_up_down_and_up_again(empty: Config) -> None:
    """With rows that point to each other, as in a database that was used."""
    settings = migrations.settings_for(empty)
    command.upgrade(settings, "0001")
    database = Database(empty.database_url)
    with database.write() as session:
        for number, header in enumerate(HEADERS, start=1):
            session.execute(text(INSTANCE), {"id": number, "header": json.dumps(header)})
            session.execute(text(JOB), {"id": number, "before": number - 1 or None})
            session.execute(text(EVENT), {"id": number})
        session.execute(text(DELIVERY))
    for _ in range(2):
        migrations.upgrade(empty)
        with database.read() as session:
            patients = session.execute(
                text("SELECT patient_id, issuer_of_patient_id FROM instance ORDER BY id")
            ).all()
            listed = session.execute(
                text(
                    "SELECT patient_name_key, accession_number, job.calling_ae_title, study_date, "
                    "determination, undelivered FROM job JOIN instance "
                    "ON instance.id = instance_id "
                    "ORDER BY job.id"
                )
            ).all()
            kept = session.execute(text("SELECT id, rerun_of FROM job ORDER BY id")).all()
        assert [tuple(row) for row in patients] == [("TEST-1", "WARD"), ("", ""), ("", "")]
        assert [tuple(row) for row in listed] == [
            ("doe jane", "A-1", "M", "20260102", "advanced", False),
            ("", "", "M", "", "advanced", True),
            ("", "", "M", "", "advanced", False),
        ]
        assert [tuple(row) for row in kept] == [(1, None), (2, 1), (3, 2)]
        command.downgrade(settings, "0001")
    database.dispose()


UPGRADE = """
import sys
from dicom_node.config import Config, DatabaseSection
from dicom_node.migrations import upgrade
config = Config(database=DatabaseSection(url=sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
upgrade(config)
"""


def test_two_that_start_at_once(empty: Config, tables: Tables) -> None:
    """As two containers do that share a database."""
    with subprocess.Popen(
        [sys.executable, "-c", UPGRADE, empty.database_url],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        other.stdin.write("\n")
        other.stdin.flush()
        migrations.upgrade(empty)
        _, errors = other.communicate(timeout=120)
    assert other.returncode == 0, errors
    assert tables.names() == {*Table.metadata.tables, VERSION}


def test_the_revisions_are_one_line(empty: Config) -> None:
    script = ScriptDirectory.from_config(migrations.settings_for(empty))
    assert len(script.get_heads()) == 1
    assert len(script.get_bases()) == 1


def test_the_command_line_takes_the_database_of_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("data_directory: data\nbroker: {url: 'redis://h'}\n")
    monkeypatch.setenv("DICOM_NODE_CONFIG", str(file))
    settings = migrations.settings_for(config_for("sqlite"))
    del settings.attributes["url"]
    command.upgrade(settings, "head")
    assert (tmp_path / "data" / "node.db").is_file()
