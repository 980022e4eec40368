"""A structured report as dcmjs reads it."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.ohif import reader
from tests.peers import COMMAND_SECONDS, need

if TYPE_CHECKING:
    from pydicom.sr.coding import Code

SCRIPT: Final = Path(__file__).with_name("read_report.cjs")


@dataclass(frozen=True, slots=True)
class Item:
    """A content item.

    Attributes
    ----------
    depth : int
        0 for the root.
    type : str
        Its value type.
    name : list of str
        Value, scheme and meaning of its name.
    value : object
        A code as a name; a NUM as ``{"number": …, "unit": code}``; else text, a UID or None.
    """

    depth: int
    type: str
    name: list[str]
    value: Any

    def is_named(self, name: Code) -> bool:
        """Tell whether this is the item's name, by value and scheme."""
        return self.name[:2] == [name.value, name.scheme_designator]

    def __str__(self) -> str:
        """Return the item as a line of text, indented by its depth."""
        value = self.value
        if self.type == "NUM":
            value = f"{value['number']} {value['unit'][0]}"
        elif self.type == "CODE":
            value = f"{value[2]} ({value[0]}, {value[1]})"
        name = f"{self.name[2]} ({self.name[0]}, {self.name[1]})"
        return "  " * self.depth + (name if value is None else f"{name}: {value}")


def read_report(path: Path) -> tuple[list[Item], dict[str, list[Any]]]:
    """Return a report's content items, and what dcmjs's reader of TID 1500 found to draw, by tool.

    Raises
    ------
    CalledProcessError
        If dcmjs cannot read it.
    """
    command = [need("node"), SCRIPT, reader("dcmjs") / "dcmjs.min.js", path]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=COMMAND_SECONDS
    )
    *lines, last = done.stdout.splitlines()
    return [Item(**json.loads(line)) for line in lines], json.loads(last)["tools"]
