"""Bringing a database to the tables that this version wants."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

if TYPE_CHECKING:
    from dicom_node.config import Config
    from dicom_node.db import Database

PROJECT = Path(__file__).resolve().parents[1]


def upgrade(config: Config) -> None:
    """Create or migrate the tables; with nothing to do it does nothing."""
    command.upgrade(settings_for(config), "head")


def settings_for(config: Config) -> AlembicConfig:
    """Return Alembic's settings for the database of a configuration.

    Those of setup.cfg are for the command line: they put the working directory on the path.
    """
    settings = AlembicConfig()
    settings.set_main_option("script_location", str(PROJECT / "alembic").replace("%", "%%"))
    settings.attributes["url"] = config.database_url
    return settings


def is_current(config: Config, database: Database) -> bool:
    """Return whether the tables are those that this version wants."""
    heads = set(ScriptDirectory.from_config(settings_for(config)).get_heads())
    with database.engine.connect() as connection:
        return set(MigrationContext.configure(connection).get_current_heads()) == heads
