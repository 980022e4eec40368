"""What each command of `models.cli` does, one module a command."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from models.commands.output import BAD_INPUT, INTERRUPTED, tell
from models.tjnet.weights import WeightsError

if TYPE_CHECKING:
    import argparse


def run(args: argparse.Namespace) -> int:
    """Run a parsed command; bad input becomes one line on stderr and exit code 2."""
    module = import_module(f"models.commands.{args.command.replace('-', '_')}")
    try:
        code: int = module.run(args)
    except (OSError, ValueError, WeightsError) as error:
        tell(f"{args.command}: {error}")
        return BAD_INPUT
    except KeyboardInterrupt:
        tell(f"{args.command}: interrupted")
        return INTERRUPTED
    return code
