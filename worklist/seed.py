"""``python -m worklist seed``: an empty database filled with invented jobs, to try the pages on."""

from __future__ import annotations

import shlex
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml
from rich.console import Console
from sqlalchemy import select

from dicom_node import migrations
from dicom_node.config import Config, load_config
from dicom_node.db import InstanceRow, JobRow, now
from dicom_node.errors import ConfigError, NotAllowedError
from dicom_node.node import Node
from worklist.bulk import Bulk
from worklist.commands import first_admin, own_python
from worklist.invented import CALLERS, DESTINATIONS, Inventor

if TYPE_CHECKING:
    import argparse

JOBS: Final = 400
PICTURES: Final = 24
MANY: Final = 20_000
"""From so many jobs on, each has only its first and its last event."""
AT_ONCE: Final = 10_000
QUIET_DAYS: Final = 8.0
"""In the last days only jobs with a picture have failed: those can be sent and assessed again."""
RECEIVER_PORT: Final = 11_113
"""Of whatever stands for all of the invented destinations."""
CONFIG_HEAD: Final = "# A node to try the page on: its jobs are invented.\n"

console = Console(highlight=False, soft_wrap=True)


def add_parser(parts: Any, common: argparse.ArgumentParser) -> None:  # noqa: ANN401 - private there
    """Add the command to those of ``python -m worklist``."""
    parser = parts.add_parser(
        "seed",
        help="fill an empty database with invented jobs",
        description="Fill an empty database with invented jobs of every state and age, some of "
        "them with the radiograph of a drawn phantom and results made from it.",
        parents=[common],
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
        "--into",
        type=Path,
        metavar="FOLDER",
        help="a node of its own: FOLDER/config.yaml is written, with the callers and destinations "
        "that are invented, and its data lie there",
    )
    parser.set_defaults(run=run)


def run(config_file: Path, given: argparse.Namespace) -> None:
    """Fill the database as the command line says, and say what to do next.

    Raises
    ------
    ConfigError
        If the numbers do not go together, or a file cannot be read or written.
    NotAllowedError
        If there is anything in the database.
    """
    if not 0 <= given.pictures <= given.jobs:
        msg = "--jobs is at least --pictures, and that at least 0"
        raise ConfigError(msg)
    if given.into is not None:
        config_file = write_config(given.into)
    config = load_config(config_file)
    seed(config, given.jobs, given.pictures)
    tell(config, config_file)


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
        {"name": name, "ae_title": name, "host": "127.0.0.1", "port": RECEIVER_PORT}
        for name in DESTINATIONS
    ]
    return {
        "callers": [{"ae_title": title} for title in CALLERS if title not in callers],
        "destinations": [one for one in destinations if one["name"] not in names],
    }


def write_config(folder: Path) -> Path:
    """Write the configuration of a node that has nothing to do with any other, and return it.

    Raises
    ------
    ConfigError
        If it cannot be written.
    """
    values = {"data_directory": ".", **missing_parts(Config())}
    file = folder / "config.yaml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            file.write_text(CONFIG_HEAD + yaml.safe_dump(values, sort_keys=False), "utf-8")
    except OSError as error:
        msg = f"--into {folder}: {error.strerror}"
        raise ConfigError(msg) from error
    return file


def tell(config: Config, file: Path) -> None:
    """Say in three commands how to go on, and before them what the configuration lacks."""
    missing = {key: some for key, some in missing_parts(config).items() if some}
    if "destinations" in missing:
        console.print(f"To send again, the node must know the destinations; add to {file}:\n")
        console.print(yaml.safe_dump(missing, sort_keys=False), markup=False)
    options = f" --config {shlex.quote(str(file))}"
    page = f"http://{config.worklist.host}:{config.worklist.port}/"
    receiver = shlex.quote(str(config.data_directory / "destinations"))
    python = own_python()
    steps = (
        ("Make your login", first_admin(file)),
        (
            f"In a terminal of its own, take what is sent to {', '.join(DESTINATIONS)}",
            f"{python} -m pynetdicom storescp {RECEIVER_PORT} -ba 127.0.0.1 -od {receiver}",
        ),
        (f"Start the node, then open {page} and log in", f"{python} -m dicom_node{options} serve"),
    )
    for number, (what, command) in enumerate(steps, 1):
        console.print(f"{number}. {what}:\n     {command}", markup=False)
