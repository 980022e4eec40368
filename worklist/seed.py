"""``python -m worklist seed``: an empty database filled with invented jobs, to try the pages on."""

from __future__ import annotations

import argparse
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import yaml
from rich.console import Console
from sqlalchemy import select

from dicom_node import migrations
from dicom_node.config import Config, config_path, load_config, parse
from dicom_node.db import InstanceRow, JobRow, now
from dicom_node.errors import ConfigError, NodeError, NotAllowedError
from dicom_node.node import Node
from worklist.bulk import Bulk
from worklist.invented import CALLERS, DESTINATIONS, Inventor

JOBS: Final = 400
PICTURES: Final = 24
MANY: Final = 20_000
"""From so many jobs on, each has only its first and its last event."""
AT_ONCE: Final = 10_000
QUIET_DAYS: Final = 8.0
"""In the last days only jobs with a picture have failed: those can be sent and assessed again."""
FIRST_PORT: Final = 11_113

console = Console(highlight=False, soft_wrap=True)


def main(arguments: list[str]) -> int:
    """Fill the database; an error of ours ends it with one line and its exit code."""
    given = _parser().parse_args(arguments)
    try:
        if not 0 <= given.pictures <= given.jobs:
            msg = "--jobs is at least --pictures, and that at least 0"
            raise ConfigError(msg)
        config = load_config(config_path(given.config))
        seed(config, given.jobs, given.pictures)
        tell_destinations(config, config_path(given.config), given.write_config)
    except NodeError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - the command's answer
        return error.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m worklist seed",
        description="Fill an empty database with invented jobs of every state and age, some of "
        "them with the radiograph of a drawn phantom and results made from it.",
    )
    parser.add_argument("--jobs", type=int, default=JOBS, metavar="N", help=f"{JOBS}, if not given")
    parser.add_argument(
        "--pictures",
        type=int,
        default=PICTURES,
        metavar="N",
        help=f"how many of them have a radiograph; {PICTURES}, if not given",
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="the configuration file; else $DICOM_NODE_CONFIG, else config.yaml",
    )
    parser.add_argument(
        "--write-config",
        type=Path,
        metavar="FILE",
        help="write the configuration with the invented callers and destinations added",
    )
    return parser


def seed(config: Config, jobs: int, pictures: int) -> None:
    """Fill the database of a configuration.

    Parameters
    ----------
    config : Config
        Of the node; its tables are made where they are missing.
    jobs, pictures : int
        How many jobs, and how many of them with a radiograph and results.

    Raises
    ------
    NotAllowedError
        If there is anything in the database.
    """
    migrations.upgrade(config)
    node = Node.of(config)
    try:
        _refuse_unless_empty(node)
        _write(node, jobs - pictures, quiet_days=QUIET_DAYS if pictures else 0)
        if pictures:
            from worklist.seed_pictures import add_pictures  # noqa: PLC0415 - torch, numpy, ...

            with console.status("drawing phantoms and making their results") as status:
                for number in add_pictures(node, pictures):
                    status.update(f"{number} of {pictures} phantoms drawn, their results made")
        console.print(f"{jobs:,} jobs, {pictures} of them with a radiograph")
    finally:
        node.close()


def _refuse_unless_empty(node: Node) -> None:
    with node.database.read() as session:
        for table in (InstanceRow, JobRow):
            if session.scalars(select(table.id).limit(1)).first() is not None:
                msg = "the database is not empty; a seed never mixes with real jobs"
                raise NotAllowedError(msg)


def _write(node: Node, count: int, *, quiet_days: float) -> None:
    """Write the jobs without a radiograph."""
    inventor = Inventor(
        count,
        now() - timedelta(minutes=1),
        first_id=1,
        quiet_days=quiet_days,
        is_brief=count > MANY,
    )
    bulk, written = Bulk(node.database), 0
    with console.status("inventing jobs") as status:
        for made in inventor.batches(AT_ONCE):
            bulk.write(made.tables())
            written += len(made.job)
            status.update(f"{written:,} of {count:,} jobs")
        bulk.close()


def missing_parts(config: Config) -> dict[str, list[dict[str, Any]]]:
    """Return the invented callers and destinations that a configuration does not have."""
    callers, names = {one.ae_title for one in config.callers}, {d.name for d in config.destinations}
    destinations = [
        {"name": name, "ae_title": name, "host": "127.0.0.1", "port": FIRST_PORT + number}
        for number, name in enumerate(DESTINATIONS)
    ]
    return {
        "callers": [{"ae_title": title} for title in CALLERS if title not in callers],
        "destinations": [one for one in destinations if one["name"] not in names],
    }


def tell_destinations(config: Config, file: Path, target: Path | None) -> None:
    """Write the configuration with what the seed invented, or say what to add.

    Raises
    ------
    ConfigError
        If the file cannot be written.
    """
    missing = missing_parts(config)
    if target is None:
        if missing["destinations"]:
            console.print(f"To send again, the node must know the destinations; add to {file}:\n")
            console.print(yaml.safe_dump(missing, sort_keys=False), markup=False)
        return
    values = parse(file.read_text("utf-8")) or {}
    for key, some in missing.items():
        values[key] = [*(values.get(key) or []), *some]
    values["data_directory"] = str(config.data_directory.resolve())
    try:
        target.write_text(yaml.safe_dump(values, sort_keys=False), "utf-8")
    except OSError as error:
        msg = f"--write-config {target}: {error.strerror}"
        raise ConfigError(msg) from error
    load_config(target)  # what it says must hold
    console.print(f"written: {target}; start the node with --config {target}")
