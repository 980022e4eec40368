"""Bringing a database to the tables that this version wants."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config as AlembicConfig

if TYPE_CHECKING:
    from dicom_node.config import Config

PROJECT = Path(__file__).resolve().parents[1]


def upgrade(config: Config) -> None:
    """Create or migrate the tables; with nothing to do it does nothing."""
    settings = AlembicConfig(PROJECT / "setup.cfg")
    settings.attributes["url"] = config.database_url
    command.upgrade(settings, "head")
