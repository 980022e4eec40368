"""Commands as a person types them, for what the pages and the seed say to do."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path


def own_python() -> str:
    """Return how this Python is called: as short as the working directory allows."""
    program = Path(sys.executable)
    if program.is_relative_to(Path.cwd()):
        program = program.relative_to(Path.cwd())
    return shlex.quote(str(program))


def first_admin(config_file: Path | None) -> str:
    """Return the command that makes the first user of the node of a configuration file."""
    options = "" if config_file is None else f" --config {shlex.quote(str(config_file))}"
    return f"{own_python()} -m worklist{options} users add NAME --role admin"
