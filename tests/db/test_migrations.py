"""The migrations on both databases: up, down, twice, two at once, and nothing left to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from dicom_node import migrations
from dicom_node.db import Database, Table
from tests.db.conftest import config_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dicom_node.config import Config

PROJECT = Path(__file__).resolve().parents[2]
VERSION = "alembic_version"


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
