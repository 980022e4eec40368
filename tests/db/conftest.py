"""Databases with the migrated tables: each test runs on SQLite and on PostgreSQL."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import delete

from dicom_node import migrations
from dicom_node.broker import Broker
from dicom_node.config import BrokerSection, Config, DatabaseSection, LeaseSection
from dicom_node.db import Database, Table
from dicom_node.node import Node
from dicom_node.storage import Storage
from tests.builders import a_destination

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.peers import PostgreSql

NO_BROKER = "redis://127.0.0.1:1/0"
"""Port 1 (tcpmux): nobody listens there."""


def config_for(url: str) -> Config:
    return Config(database=DatabaseSection(url=url))


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a migrated SQLite file to copy."""
    file = tmp_path_factory.mktemp("sqlite") / "template.db"
    migrations.upgrade(config_for(f"sqlite:///{file}"))
    return file


@pytest.fixture(scope="session")
def postgresql_migrated(postgresql_server: PostgreSql) -> Iterator[str]:
    """Return the URL of a migrated PostgreSQL database."""
    with postgresql_server.database() as url:
        migrations.upgrade(config_for(url))
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Return a database with the tables of the migration and no row in them."""
    if request.param == "sqlite":
        url = f"sqlite:///{shutil.copy(request.getfixturevalue('sqlite_template'), tmp_path)}"
        opened = Database(url)
    else:
        opened = Database(request.getfixturevalue("postgresql_migrated"))
        with opened.write() as session:  # on so few rows quicker than TRUNCATE
            for table in reversed(Table.metadata.sorted_tables):
                session.execute(delete(table))
    yield opened
    opened.dispose()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Return a configuration with one destination and a broker that is away."""
    return Config(
        data_directory=tmp_path / "data",
        broker=BrokerSection(url=NO_BROKER),
        destinations=[a_destination("PACS")],
        leases=LeaseSection(sweep_seconds=15),
    )


@pytest.fixture
def node(config: Config, database: Database) -> Iterator[Node]:
    """Return a node whose broker is away."""
    made = Node(config, database, Storage(config.data_directory), Broker(config.broker_url))
    yield made
    made.broker.close()


@pytest.fixture
def node_with_broker(node: Node, redis_server: str) -> Iterator[Node]:
    """Return a node with a real broker."""
    made = Node(node.config, node.database, node.storage, Broker(redis_server))
    yield made
    made.broker.close()
