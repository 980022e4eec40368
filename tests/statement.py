"""The conformance statement as values: what each table of docs/conformance.md claims.

A claim is compared with what the code does or what is negotiated; `Statement.changes` gives copies
of the statement with one row too few or too many, which the same comparison must notice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydicom.uid import UID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Row = dict[str, str]
Item = TypeVar("Item")
CodeTriple = tuple[str, str, str]
"""Value, scheme and meaning."""

FILE = Path(__file__).resolve().parents[1] / "docs" / "conformance.md"
CODE = re.compile(r'\(([^\s,()]+), ([A-Z0-9]+), "([^"]+)"\)')
ALWAYS = "always"


class StatementError(AssertionError):
    """The statement contradicts itself, or cannot be read."""


@dataclass(frozen=True, slots=True)
class Statement:
    """The text of a conformance statement."""

    text: str

    @classmethod
    def read(cls) -> Statement:
        """Return the statement of this project."""
        return cls(FILE.read_text(encoding="utf-8"))

    def rows(self, title: str) -> list[Row]:
        """Return the rows of the table in the section of this title, cells by column."""
        lines = self.text.splitlines()
        head, *rows = (_cells(lines[number]) for number in self._table(title))
        if any(len(row) != len(head) for row in rows):
            msg = f"{title}: a row has not as many cells as its head"
            raise StatementError(msg)
        return [dict(zip(head, row, strict=True)) for row in rows]

    def codes(self, text: str | None = None) -> set[CodeTriple]:
        """Return the codes of a text, of the whole statement where none is given."""
        found = CODE.findall(self.text if text is None else text)
        return {(value, scheme, meaning) for value, scheme, meaning in found}

    def changes(self, title: str, key: str) -> Iterator[Statement]:
        """Yield copies in which a row of a table is missing, or stands twice with another key."""
        lines = self.text.splitlines()
        head, *rows = self._table(title)
        column = _cells(lines[head]).index(key)
        for number in rows:
            yield Statement("\n".join([*lines[:number], *lines[number + 1 :]]))
            cells = _cells(lines[number])
            cells[column] = _another(cells[column])
            added = f"| {' | '.join(cells)} |"
            yield Statement("\n".join([*lines[:number], added, *lines[number:]]))

    def _table(self, title: str) -> list[int]:
        """Return the numbers of a table's lines, the rule below its head left out."""
        lines = self.text.splitlines()
        heading = re.compile(rf"#+ [\d.]+ {re.escape(title)}")
        starts = [number for number, line in enumerate(lines) if heading.fullmatch(line)]
        if len(starts) != 1:
            msg = f"{len(starts)} sections have the title {title!r}"
            raise StatementError(msg)
        found: list[int] = []
        for number in range(starts[0] + 1, len(lines)):
            if lines[number].startswith("|"):
                found.append(number)
            elif found or lines[number].startswith("#"):
                break
        if len(found) < 3:  # head, rule and one row
            msg = f"{title}: no table"
            raise StatementError(msg)
        return [found[0], *found[2:]]


@dataclass(frozen=True, slots=True)
class Check:
    """A claim of the statement.

    Attributes
    ----------
    claim : callable
        The statement's word, in the form of what it is compared with.
    tables : tuple of (str, str)
        Title and key column of each table that it rests on.
    """

    claim: Callable[[Statement], object]
    tables: tuple[tuple[str, str], ...]

    def agrees(self, statement: Statement, observed: object) -> bool:
        """Return whether a statement claims just what was observed."""
        try:
            return self.claim(statement) == observed
        except StatementError:
            return False

    def unnoticed(self, statement: Statement, observed: object) -> list[str]:
        """Return the changes of a row that this comparison would not notice."""
        return [
            f"{title}: row {number // 2 + 1} {'twice' if number % 2 else 'missing'}"
            for title, key in self.tables
            for number, changed in enumerate(statement.changes(title, key))
            if self.agrees(changed, observed)
        ]


def _cells(line: str) -> list[str]:
    """Return the cells of a line of a table."""
    return [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]


def _another(cell: str) -> str:
    """Return a cell that says something else: its last digit is another, or a word is added."""
    match = re.search(r"\d(?=\D*$)", cell)
    if match is None:
        return f"{cell}X" if not cell.endswith("`") else f"{cell[:-1]}X`"
    return f"{cell[: match.start()]}{(int(match[0]) + 1) % 10}{cell[match.end() :]}"


def _uid(row: Row, name: str) -> str:
    """Return a row's UID, after a look whether the name is that of PS3.6."""
    if UID(row["UID"]).name != row[name]:
        msg = f"{row['UID']} is not {row[name]}"
        raise StatementError(msg)
    return row["UID"]


def _set(items: Iterable[Item]) -> set[Item]:
    """Return the items of a table, none of which may stand twice."""
    found = list(items)
    if len(set(found)) != len(found):
        msg = "a table says one thing twice"
        raise StatementError(msg)
    return set(found)


# --- association negotiation ---------------------------------------------------------------


def accepted_contexts(statement: Statement, *, options: bool) -> set[tuple[str, str]]:
    """Return the SOP class and transfer syntax of each context that is accepted as SCP.

    Parameters
    ----------
    options : bool
        With what a setting allows; otherwise only what is always accepted.
    """
    syntaxes = statement.rows("Transfer syntaxes as SCP")
    return _set(
        (_uid(row, "SOP class"), _uid(syntax, "transfer syntax"))
        for row in statement.rows("SOP classes as SCP")
        for syntax in syntaxes
        if row["service"] in syntax["services"].split(", ")
        and (options or row["accepted"] == ALWAYS)
    )


def preferred_syntaxes(statement: Statement) -> list[str]:
    """Return the transfer syntaxes for storage, the most preferred first."""
    rows = statement.rows("Transfer syntaxes as SCP")
    return [_uid(row, "transfer syntax") for row in rows if "Storage" in row["services"]]


def proposed_contexts(statement: Statement, *, options: bool) -> set[tuple[str, tuple[str, ...]]]:
    """Return SOP class and transfer syntaxes, in their order, of each context proposed as SCU."""
    syntaxes = {
        row["transfer syntax"]: row["UID"] for row in statement.rows("Transfer syntaxes as SCP")
    }
    try:
        return _set(
            (
                _uid(row, "SOP class"),
                tuple(
                    syntaxes[name] for name in row["transfer syntaxes, in this order"].split("; ")
                ),
            )
            for row in statement.rows("Presentation contexts proposed")
            if options or row["proposed"] == ALWAYS
        )
    except KeyError as error:
        msg = f"a transfer syntax that has no UID: {error}"
        raise StatementError(msg) from error


def proposed_roles(statement: Statement) -> set[tuple[str, str, str]]:
    """Return SOP class UID, SCU and SCP of each role that is proposed: yes or no."""
    return _set(
        (_uid(row, "SOP class"), row["as SCU"], row["as SCP"])
        for row in statement.rows("Roles proposed")
    )


def overview(statement: Statement) -> set[tuple[str, str, str]]:
    """Return SOP class UID, SCU and SCP of the overview: yes, no or option."""
    return _set(
        (_uid(row, "SOP class"), row["as SCU"], row["as SCP"])
        for row in statement.rows("Content and transfer")
    )


def limits(statement: Statement) -> dict[str, str]:
    """Return the limits, timeouts and names of an association, without their units."""
    return {
        row["parameter"]: row["value"].removesuffix(" bytes").removesuffix(" s")
        for row in statement.rows("Limits and identification")
    }


def rejections(statement: Statement) -> set[tuple[int, ...]]:
    """Return result, source and reason of each association that is rejected."""
    return _set(
        tuple(int(row[name]) for name in ("result", "source", "reason"))
        for row in statement.rows("Associations rejected")
    )


# --- statuses ------------------------------------------------------------------------------


def returned_statuses(statement: Statement) -> set[int]:
    """Return the DIMSE statuses that the SCP answers with."""
    return _set(int(row["status"], 16) for row in statement.rows("Status codes returned"))


def status_policy(statement: Statement) -> list[str]:
    """Return what each of the 65536 statuses is taken as by the SCU."""
    rows = statement.rows("Status codes received")
    if not all(re.fullmatch("[0-9A-Fx]{4}", row["status"]) for row in rows):
        msg = "a status has four digits"
        raise StatementError(msg)
    patterns = [re.compile(row["status"].replace("x", "[0-9A-F]")) for row in rows]
    decided = []
    for status in range(0x10000):
        word = f"{status:04X}"
        first = next((n for n, pattern in enumerate(patterns) if pattern.fullmatch(word)), None)
        if first is None:
            msg = f"no row fits the status {word}"
            raise StatementError(msg)
        decided.append(rows[first]["taken as"])
    return decided


# --- settings and character sets -----------------------------------------------------------


def settings(statement: Statement) -> dict[str, str]:
    """Return the settings that change network behaviour, with their defaults."""
    return {
        row["setting"].strip("`"): row["default"]
        for row in statement.rows("Settings that change network behaviour")
    }


def other_settings(statement: Statement) -> set[str]:
    """Return the sections of config.yaml that change nothing on the network."""
    rows = statement.rows("Settings that change nothing on the network")
    return _set(row["setting"].strip("`") for row in rows)


def character_sets(statement: Statement) -> set[str]:
    """Return the values of SpecificCharacterSet that can be read."""
    rows = statement.rows("Character sets read")
    return _set(row["SpecificCharacterSet"].strip("`") for row in rows)


# --- results -------------------------------------------------------------------------------


def attributes(statement: Statement, title: str) -> set[tuple[str, ...]]:
    """Return module, keyword, tag and type of each attribute in one table."""
    return _set(
        (row["module"], row["attribute"].strip("`"), row["tag"], row["type"])
        for row in statement.rows(title)
    )


def content_tree(
    statement: Statement, title: str
) -> dict[tuple[str, ...], tuple[str, set[CodeTriple]]]:
    """Return the content items: relationship and codes by the path of value types and names.

    A document may have one title or another: at the root its names count among the codes.
    """
    tree: dict[tuple[str, ...], tuple[str, set[CodeTriple]]] = {}
    path: tuple[str, ...] = ()
    for row in statement.rows(title):
        depth = len(row["level"])
        if depth > len(path) or row["level"].strip(">"):
            msg = f"{row['concept name']}: no parent"
            raise StatementError(msg)
        name, value = row["concept name"], row["value"]
        path = (*path[:depth], f"{row['value type']} {name}" if depth else row["value type"])
        if path in tree:
            msg = f"{name} stands twice"
            raise StatementError(msg)
        tree[path] = (row["relationship"], statement.codes(value if depth else f"{name} {value}"))
    return tree


def private_codes(statement: Statement) -> set[CodeTriple]:
    """Return the codes of the private scheme."""
    return _set(
        code for row in statement.rows("Private codes") for code in statement.codes(row["code"])
    )


def schemes(statement: Statement) -> set[tuple[str, ...]]:
    """Return designator, name and organisation of each coding scheme that is declared."""
    rows = statement.rows("Coding schemes declared")
    return _set((row["designator"], row["name"], row["responsible"]) for row in rows)
