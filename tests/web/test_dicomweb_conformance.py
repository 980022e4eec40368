"""What the conformance statement says of DICOMweb against the code, both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydicom.datadict import keyword_for_tag

from dicom_node.db import InstanceRow
from tests.statement import Check, Statement
from worklist.dicomweb import ROOT, router
from worklist.dicomweb_frames import MEDIA_TYPES
from worklist.dicomweb_keys import KEYS
from worklist.dicomweb_query import search
from worklist.dicomweb_store import Address

if TYPE_CHECKING:
    from collections.abc import Callable

    from dicom_node.node import Node

STATEMENT = Statement.read()
INHERITED = "those of "


def said_resources(statement: Statement) -> list[str]:
    return sorted(row["resource"].strip("`") for row in statement.rows("Resources"))


def made_resources() -> list[str]:
    return sorted(route.path.removeprefix(ROOT) for route in router.routes)  # type: ignore[attr-defined]


def said_keys(statement: Statement) -> list[tuple[str, list[str]]]:
    levels: dict[str, list[str]] = {}
    rows = statement.rows("Matching keys")
    for row in rows:
        first, *rest = row["attributes"].split(", ")
        before = levels.get(first.removeprefix(INHERITED)) if INHERITED in first else None
        levels[row["level"]] = [*(before or [first]), *rest]
    return [(row["level"], levels[row["level"]]) for row in rows]


def made_keys() -> list[tuple[str, list[str]]]:
    return [(level, list(keys)) for level, keys in KEYS.items()]


def said_syntaxes(statement: Statement) -> list[tuple[str, str]]:
    rows = statement.rows("Compressed frames")
    return [(row["media type"], row["transfer syntaxes"]) for row in rows]


def made_syntaxes() -> list[tuple[str, str]]:
    return [(kind, ", ".join(uids)) for kind, uids in MEDIA_TYPES.items()]


CHECKS: dict[str, tuple[Check, Callable[[], object]]] = {
    "resources": (Check(said_resources, (("Resources", "resource"),)), made_resources),
    "keys": (Check(said_keys, (("Matching keys", "attributes"),)), made_keys),
    "syntaxes": (
        Check(said_syntaxes, (("Compressed frames", "transfer syntaxes"),)),
        made_syntaxes,
    ),
}


@pytest.mark.parametrize("name", CHECKS)
def test_the_statement_says_what_the_code_does(name: str) -> None:
    check, observe = CHECKS[name]
    assert check.claim(STATEMENT) == observe()
    assert check.unnoticed(STATEMENT, observe()) == []


def test_the_attributes_returned(node: Node) -> None:
    from tests.web.store import a_phantom, add_results, keep
    from worklist.dicomweb_keys import Keys

    add_results(node, keep(node, a_phantom()))
    for row in STATEMENT.rows("Attributes returned"):
        with node.database.read() as session:
            study = session.query(InstanceRow).one().study_instance_uid
            place = Address() if row["level"] == "studies" else Address(study)
            found = search(session, row["level"], place, Keys(), "http://x/dicomweb")  # type: ignore[arg-type]
        for match in found.matches:
            assert [keyword_for_tag(int(tag, 16)) for tag in match] == row["attributes"].split(", ")
