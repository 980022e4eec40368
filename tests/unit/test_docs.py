"""The documents name every command, option and setting that there is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer.main

from dicom_node.cli import app
from dicom_node.config import ArchivePeer, Config, Destination, NamedArchive, Route, Webhook

if TYPE_CHECKING:
    from pydantic import BaseModel

PROJECT = Path(__file__).resolve().parents[2]


def _keys(section: type[BaseModel], prefix: str = "") -> list[str]:
    """Return the dotted names of all settings."""
    keys = []
    for name, field in section.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and hasattr(kind, "model_fields"):
            keys += _keys(kind, f"{prefix}{name}.")
        else:
            keys.append(prefix + name)
    return keys


@pytest.mark.parametrize(
    "key",
    [
        *(*_keys(Config), *_keys(Destination), *_keys(Route), *_keys(Webhook)),
        *_keys(NamedArchive),
        *_keys(ArchivePeer, "history.archive."),
    ],
)
def test_setting_is_documented(key: str) -> None:
    assert f"`{key}`" in (PROJECT / "docs" / "configuration.md").read_text(encoding="utf-8")


def _commands() -> dict[str, list[str]]:
    """Return each command with its options."""
    group = typer.main.get_command(app)
    found: dict[str, list[str]] = {}
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        parts = getattr(command, "commands", {"": command})
        for part, leaf in parts.items():
            options = [option for p in leaf.params for option in p.opts if option.startswith("--")]
            found[f"{name} {part}".strip()] = options
    return found


@pytest.mark.parametrize(("command", "options"), _commands().items())
def test_command_and_its_options_are_documented(command: str, options: list[str]) -> None:
    text = (PROJECT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert f"`{command}" in text
    assert [option for option in options if option not in text] == []


def test_decision_records_are_short() -> None:
    records = sorted((PROJECT / "docs" / "adr").glob("*.md"))
    assert records
    assert [r.name for r in records if len(r.read_text(encoding="utf-8").splitlines()) > 40] == []
