"""Migrations against the database that the configuration names."""

from __future__ import annotations

from typing import Literal

from alembic import context
from sqlalchemy import text

from dicom_node.config import config_path, load_config
from dicom_node.db import Database, StateColumn, Table, UtcDateTime

ADVISORY_LOCK = 7_203_114
"""PostgreSQL: one process migrates, the others wait and then find nothing to do."""


def _url() -> str:
    """Return the URL that the caller set, else that of the configuration file."""
    given = context.config.attributes.get("url")
    if given:
        return str(given)
    return load_config(config_path(context.config.attributes.get("config_file"))).database_url


def _plain_type(kind: str, item: object, _context: object) -> str | Literal[False]:
    """Write our column types as the database's own: a migration must outlive our classes."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, StateColumn):
        return "sa.String(16)"
    return False


def run_migrations() -> None:
    """Migrate in one transaction."""
    database = Database(_url())
    with database.engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=Table.metadata,
            render_as_batch=database.backend == "sqlite",
            compare_type=True,
            transactional_ddl=True,
            render_item=_plain_type,
        )
        with context.begin_transaction():
            if database.backend == "postgresql":
                connection.execute(text(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})"))
            context.run_migrations()
    database.dispose()


run_migrations()
