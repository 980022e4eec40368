"""The conformance statement against the code: results, statuses, settings; both ways.

What is negotiated is compared in ``tests/e2e/test_conformance.py``.
"""

from __future__ import annotations

import json
import pkgutil
import re
from functools import cache
from typing import TYPE_CHECKING, Any, get_args, get_origin

import pytest
from pydantic import BaseModel
from pydicom.charset import python_encoding
from pydicom.datadict import tag_for_keyword
from pydicom.sr.coding import Code
from pydicom.uid import (
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    KeyObjectSelectionDocumentStorage,
    ParametricMapStorage,
    SecondaryCaptureImageStorage,
)

from dicom_node import __version__, deliveries, errors, scp, scu
from dicom_node import vocabulary as v
from dicom_node.config import Config
from dicom_node.results import SERIES_NUMBERS
from tests import statement as claims
from tests.all_results import all_results
from tests.statement import Check, Statement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pydicom.dataset import Dataset

STATEMENT = Statement.read()
IN_EVERY_RESULT = "Attributes of every result"
REPORTS = (Comprehensive3DSRStorage, ComprehensiveSRStorage)
OBJECTS: dict[str, tuple[str, ...]] = {
    "Attributes of structured reports": REPORTS,
    "Attributes of Secondary Capture": (SecondaryCaptureImageStorage,),
    "Attributes of Grayscale Softcopy Presentation State": (
        GrayscaleSoftcopyPresentationStateStorage,
    ),
    "Attributes of Encapsulated PDF": (EncapsulatedPDFStorage,),
    "Attributes of Parametric Map": (ParametricMapStorage,),
    "Attributes of Key Object Selection Document": (KeyObjectSelectionDocumentStorage,),
}
"""The table of each kind of result, and its SOP classes."""

SPELLINGS = {"Sr": "SR", "Sc": "SC", "Sop": "SOP", "Voi": "VOI", "Lut": "LUT", "Of": "of"}
"""Words in the names of modules."""

NETWORK_SECTIONS = {
    "archives",
    *("node", "callers", "accept_unknown_callers"),
    *("destinations", "routes", "history", "storage", "results", "monitoring"),
}
OTHER_SPELLINGS = {"", "ISO 2022 58", "ISO 2022 GBK"}
"""Keys of pydicom's table that are no defined terms of PS3.3 C.12.1.1.2."""


# --- what is built -------------------------------------------------------------------------


def results_of(sop_class: str, *, is_full: bool) -> list[Dataset]:
    """Return the results of one SOP class."""
    made = [dataset for dataset in all_results(is_full=is_full) if dataset.SOPClassUID == sop_class]
    assert made
    return made


def code_triple(item: Dataset) -> tuple[str, str, str]:
    """Return a code of a sequence as the statement writes it."""
    return str(item.CodeValue), str(item.CodingSchemeDesignator), str(item.CodeMeaning)


def codes_in(dataset: Dataset) -> set[tuple[str, str, str]]:
    """Return every code of a data set, however deep."""
    found = {code_triple(dataset)} if "CodeValue" in dataset else set()
    for element in dataset:
        if element.VR == "SQ":
            found.update(code for item in element.value for code in codes_in(item))
    return found


@cache
def codes_in_results() -> set[tuple[str, str, str]]:
    """Return the codes of our own that results were seen to carry."""
    return {code for dataset in all_results(is_full=False) for code in codes_in(dataset)}


def vocabulary() -> set[tuple[str, str, str]]:
    """Return every code of dicom_node.vocabulary."""
    found = set()
    for value in vars(v).values():
        for code in value.values() if isinstance(value, dict) else (value,):
            if isinstance(code, Code):
                found.add((code.value, code.scheme_designator, code.meaning))
    return found


# --- what the statement is compared with ---------------------------------------------------


def observed_codes() -> object:
    """Return what a result can carry, by the vocabulary or as highdicom writes it."""
    return vocabulary() | codes_in_results()


@cache
def standard(name: str) -> Any:  # noqa: ANN401 - JSON
    """Return one of the tables of PS3.3 that highdicom ships."""
    return json.loads(pkgutil.get_data("highdicom", f"_standard/{name}.json") or b"")


def observed_attributes(title: str) -> object:
    """Return module, keyword, tag and type of all that objects of a kind were seen to have."""
    first, *others = (_attributes_seen(sop_class) for sop_class in OBJECTS[title])
    assert all(other == first for other in others)
    return first


def _attributes_seen(sop_class: str) -> set[tuple[str, ...]]:
    """Return module, keyword, tag and type of all that objects of a SOP class were seen to have."""
    made = results_of(sop_class, is_full=True)
    keywords = {element.keyword for dataset in made for element in dataset}
    iod = standard("sop_class_iod_map")[sop_class]
    return {_of_standard(iod, keyword, keywords) for keyword in keywords}


def _of_standard(iod: str, keyword: str, present: set[str]) -> tuple[str, ...]:
    """Return where an attribute at the root of an IOD stands in PS3.3.

    Of several modules it is one whose attributes of type 1 are all present, and of these the one
    that asks most.
    """
    tag = tag_for_keyword(keyword)
    assert tag is not None
    found = []
    for module in standard("iod_module_map")[iod]:
        types = _types(module["key"])
        if keyword in types:
            is_there = all(kind != "1" or other in present for other, kind in types.items())
            found.append((not is_there, types[keyword], _module_name(module["key"])))
    assert found, f"PS3.3 has no {keyword} in {iod}"
    *_, kind, name = min(found, key=lambda place: place[:2])  # types: 1, 1C, 2, 2C, 3
    return name, keyword, f"({tag >> 16:04X},{tag & 0xFFFF:04X})", kind


@cache
def _types(module: str) -> dict[str, str]:
    """Return the types of a module's attributes at the root, by keyword."""
    attributes = standard("module_attribute_map")[module]
    return {item["keyword"]: str(item["type"]) for item in attributes if not item["path"]}


def _module_name(key: str) -> str:
    """Return the name of a module as PS3.3 spells it."""
    words = (word.title() for word in key.split("-"))
    return " ".join(SPELLINGS.get(word, word) for word in words).replace("Multi F", "Multi-f")


def observed_tree(*sop_classes: str) -> object:
    """Return the content tree of the documents that were built, as the statement has it."""
    tree: dict[tuple[str, ...], tuple[str, set[tuple[str, str, str]]]] = {}
    for sop_class in sop_classes:
        for document in results_of(sop_class, is_full=False):
            for path, relationship, item in _walk(document, ()):
                known, codes = tree.setdefault(path, (relationship, set()))
                assert known == relationship
                codes.update(_value_codes(item))
                if len(path) == 1:
                    codes.add(code_triple(item.ConceptNameCodeSequence[0]))
    return tree


def _walk(item: Dataset, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str, Dataset]]:
    """Yield path, relationship and item of a content item and all below it."""
    value, scheme, meaning = code_triple(item.ConceptNameCodeSequence[0])
    name = f' ({value}, {scheme}, "{meaning}")' if above else ""
    path = (*above, f"{item.ValueType}{name}")
    yield path, str(item.get("RelationshipType", "")), item
    for child in item.get("ContentSequence", []):
        yield from _walk(child, path)


def _value_codes(item: Dataset) -> set[tuple[str, str, str]]:
    """Return the codes of a content item's value, unit and qualifier."""
    codes = [*item.get("ConceptCodeSequence", [])]
    codes += item.get("NumericValueQualifierCodeSequence", [])
    for measured in item.get("MeasuredValueSequence", []):
        codes += measured.MeasurementUnitsCodeSequence
    return {code_triple(code) for code in codes}


def observed_statuses() -> object:
    """Return every status that the listener's code has."""
    kinds, found = [errors.StoreError], {scp.SUCCESS, scp.PROCESSING_FAILURE}
    while kinds:
        kind = kinds.pop()
        found.add(kind.status)
        kinds += kind.__subclasses__()
    return found


def observed_policy() -> object:
    """Return what the sender's code does with each status, in the order in which it looks."""

    def taken_as(status: int) -> str:
        if scu.is_refusal(status):
            return "refused"
        return "stored" if deliveries.is_stored(status) else "tried again"

    return [taken_as(status) for status in range(0x10000)]


def observed_settings() -> object:
    """Return the settings of the sections that have to do with the network."""
    return {
        key: default
        for name in NETWORK_SECTIONS
        for key, default in _settings(Config, name, "").items()
    }


def _settings(section: type[BaseModel], name: str, prefix: str) -> dict[str, str]:
    """Return a setting with its default, or all settings below it."""
    field = section.model_fields[name]
    own = {prefix + name: "required" if field.is_required() else _default(field.default)}
    item = next(iter(get_args(field.annotation)), None)
    is_list = get_origin(field.annotation) is list
    for kind, mark in ((field.annotation, "."), (item, "[]." if is_list else ".")):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            below = [_settings(kind, key, f"{prefix}{name}{mark}") for key in kind.model_fields]
            optional = {} if kind is field.annotation or is_list else own
            return optional | {key: default for part in below for key, default in part.items()}
    return own


def _default(value: object) -> str:
    """Return a default as config.yaml would show it."""
    words: dict[object, str] = {None: "none", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return words[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def observed_other_settings() -> object:
    return set(Config.model_fields) - NETWORK_SECTIONS


def observed_character_sets() -> object:
    return set(python_encoding) - OTHER_SPELLINGS


def observed_private_codes() -> object:
    return {code for code in vocabulary() if code[1] == v.SCHEME}


def observed_schemes() -> object:
    return set(v.SCHEMES)


def _attributes_of(title: str) -> tuple[Check, Callable[[], object]]:
    """Return the check of one kind of result: its own table and that of every result."""
    check = Check(
        lambda statement: (
            claims.attributes(statement, IN_EVERY_RESULT) | claims.attributes(statement, title)
        ),
        ((IN_EVERY_RESULT, "attribute"), (title, "attribute")),
    )
    return check, lambda: observed_attributes(title)


def _tree_of(title: str, *sop_classes: str) -> tuple[Check, Callable[[], object]]:
    """Return the check of the content tree of one kind of document."""
    check = Check(
        lambda statement: claims.content_tree(statement, title), ((title, "concept name"),)
    )
    return check, lambda: observed_tree(*sop_classes)


POLICY = Check(claims.status_policy, (("Status codes received", "status"),))
SETTINGS = Check(claims.settings, (("Settings that change network behaviour", "setting"),))
CHECKS: dict[str, tuple[Check, Callable[[], object]]] = {
    "codes": (Check(Statement.codes, ()), observed_codes),
    "content tree": _tree_of("Content tree", *REPORTS),
    "note's content tree": _tree_of(
        "Content tree of a rejection note", KeyObjectSelectionDocumentStorage
    ),
    "statuses": (
        Check(claims.returned_statuses, (("Status codes returned", "status"),)),
        observed_statuses,
    ),
    "status policy": (POLICY, observed_policy),
    "settings": (SETTINGS, observed_settings),
    "other settings": (
        Check(claims.other_settings, (("Settings that change nothing on the network", "setting"),)),
        observed_other_settings,
    ),
    "character sets": (
        Check(claims.character_sets, (("Character sets read", "SpecificCharacterSet"),)),
        observed_character_sets,
    ),
    "private codes": (
        Check(claims.private_codes, (("Private codes", "code"),)),
        observed_private_codes,
    ),
    "schemes": (
        Check(claims.schemes, (("Coding schemes declared", "designator"),)),
        observed_schemes,
    ),
    **{title: _attributes_of(title) for title in OBJECTS},
}


@pytest.mark.parametrize("name", CHECKS)
def test_the_statement_says_what_the_code_does(name: str) -> None:
    check, observe = CHECKS[name]
    assert check.claim(STATEMENT) == observe()


@pytest.mark.parametrize("name", CHECKS)
def test_a_row_too_few_or_too_many_fails(name: str) -> None:
    check, observe = CHECKS[name]
    assert check.unnoticed(STATEMENT, observe()) == []


@pytest.mark.parametrize("code", sorted(STATEMENT.codes()), ids=lambda code: f"{code[0]}")
def test_a_code_with_another_value_fails(code: tuple[str, str, str]) -> None:
    value, scheme, meaning = code
    stands, changed = f"({value}, {scheme}, ", f"({value}9, {scheme}, "
    assert Statement(STATEMENT.text.replace(stands, changed)).codes() != observed_codes()
    changed = STATEMENT.text.replace(f'{scheme}, "{meaning}")', f'{scheme}, "{meaning} of it")')
    assert Statement(changed).codes() != observed_codes()


def test_every_code_of_the_vocabulary_was_seen_in_a_result() -> None:
    """What no result carries does not belong in the statement, nor in the vocabulary."""
    assert vocabulary() - codes_in_results() == set()


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("settings", "| `node.port` | 11112 |", "| `node.port` | 104 |"),
        ("status policy", "stored with a warning | stored |", "stored with a warning | refused |"),
        ("content tree", "| NUM | (121033, DCM", "| TEXT | (121033, DCM"),
        ("content tree", '(1, UCUM, "no units") | as', '(mo, UCUM, "month") | as'),
        (
            "content tree",
            ">>>> | HAS CONCEPT MOD | CODE | (27274",
            ">>> | HAS CONCEPT MOD | CODE | (27274",
        ),
        ("content tree", "| SCOORD |", "| SCOORD3D |"),
        ("note's content tree", "| COMPOSITE |", "| IMAGE |"),
        ("note's content tree", 'or (113001, DCM, "Rej', 'or (113002, DCM, "Rej'),
        ("Attributes of structured reports", "(0040,A491) | 1 |", "(0040,A491) | 3 |"),
        (
            "Attributes of Parametric Map",
            "| Floating Point Image Pixel | `Rows`",
            "| Image Pixel | `Rows`",
        ),
        (
            "Attributes of Secondary Capture",
            "| General Image | `ImageType`",
            "| SC Image | `ImageType`",
        ),
    ],
)
def test_a_cell_that_says_another_thing_fails(name: str, old: str, new: str) -> None:
    check, observe = CHECKS[name]
    assert STATEMENT.text.count(old) == 1
    assert not check.agrees(Statement(STATEMENT.text.replace(old, new)), observe())


def test_numbers_of_the_series() -> None:
    for number in SERIES_NUMBERS.values():
        assert re.search(rf"\| `SeriesNumber` \|.*`{number}`", STATEMENT.text)


def test_names_of_the_equipment_and_the_version() -> None:
    assert f"version {__version__}" in STATEMENT.text
    for name in (v.MANUFACTURER, v.MODEL_NAME, v.ALGORITHM_NAME):
        assert f"`{name}`" in STATEMENT.text
