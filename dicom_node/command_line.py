"""What all commands share: the node they work on, who gives them, and JSON as an answer."""

from __future__ import annotations

import getpass
import json
from typing import TYPE_CHECKING, Annotated

import typer

from dicom_node import log
from dicom_node.config import Config, load_config
from dicom_node.node import Node

if TYPE_CHECKING:
    from collections.abc import Mapping

JobId = Annotated[int, typer.Argument(metavar="JOB", help="The job's number, as `jobs` shows it.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]


LOGGED_PARTS = frozenset({"serve", "listen", "sweep"})
"""Commands whose log lines have a file of their own, beside the two queues of `work`."""


def print_json(value: object) -> None:
    """Print JSON on standard output."""
    print(json.dumps(value, ensure_ascii=False, indent=2))  # noqa: T201 - the command's answer


def answer(value: Mapping[str, object], words: str, *, as_json: bool) -> None:
    """Print an answer, as JSON or in words."""
    if as_json:
        print_json(value)
    else:
        print(words)  # noqa: T201 - the command's answer


def config_of(context: typer.Context) -> Config:
    """Read the configuration."""
    return load_config(context.obj)


def node_of(context: typer.Context) -> Node:
    """Put the node together; it is closed when the command ends."""
    config = config_of(context)
    keep_log(context, config)
    node = Node.of(config)
    context.call_on_close(node.close)
    return node


def keep_log(context: typer.Context, config: Config) -> None:
    """Keep the log lines of a part under its name, those of any other command under one."""
    if config.log.file:
        queue, command = context.params.get("queue"), context.info_name
        part = queue or (command if command in LOGGED_PARTS else "command")
        log.keep(config.log_folder, part, config.log.megabytes, config.log.files)
        context.call_on_close(log.stop_keeping)


def operator() -> str:
    """Return the actor that events of the command line name."""
    return f"{getpass.getuser()} (command line)"
