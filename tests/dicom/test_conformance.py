"""The conformance statement against the code: results, statuses, settings; both ways.

What is negotiated is compared in ``tests/e2e/test_conformance.py``.
"""

from __future__ import annotations

import json
import pkgutil
from functools import cache
from typing import TYPE_CHECKING, Any, get_args, get_origin

import numpy as np
import pytest
from pydantic import BaseModel
from pydicom.charset import python_encoding
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import (
    Comprehensive3DSRStorage,
    ComputedRadiographyImageStorage,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from dicom_node import __version__, deliveries, errors, scp, scu
from dicom_node import vocabulary as v
from dicom_node.config import Config
from dicom_node.identity import ReferencedInstance
from dicom_node.secondary_capture import build_secondary_capture
from dicom_node.source_header import TYPE_2, TYPE_3
from dicom_node.structured_report import build_structured_report
from tests import statement as claims
from tests.samples import STUDY, UNKNOWN, a_dx_source, a_finding, a_source, an_identity
from tests.statement import Check, Statement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dicom_node.finding import Finding

STATEMENT = Statement.read()
PICTURE = np.linspace(0, 1, 40 * 30, dtype=np.float32).reshape(40, 30)
OLD = ReferencedInstance(
    sop_class_uid=Comprehensive3DSRStorage,
    sop_instance_uid="1.2.3.9.9",
    series_instance_uid="1.2.3.9",
    study_instance_uid=STUDY,
)
IN_EVERY_RESULT = "Attributes of every result"
OBJECTS = {
    "Attributes of Comprehensive 3D SR": Comprehensive3DSRStorage,
    "Attributes of Secondary Capture": SecondaryCaptureImageStorage,
}
"""The table of each kind of result, and its SOP class."""

NETWORK_SECTIONS = {
    *("node", "callers", "accept_unknown_callers"),
    *("destinations", "routes", "history", "storage"),
}
OTHER_SPELLINGS = {"", "ISO 2022 58", "ISO 2022 GBK"}
"""Keys of pydicom's table that are no defined terms of PS3.3 C.12.1.1.2."""


# --- what is built -------------------------------------------------------------------------


def full_source() -> Dataset:
    """Return a header with every attribute that a result can have from its source."""
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "X", "99HOSP", "Something"
    code.ReferencedSOPClassUID = ComputedRadiographyImageStorage
    code.ReferencedSOPInstanceUID = generate_uid()
    code.PatientID, code.TypeOfPatientID = "P2", "TEXT"
    by_vr = {"DA": "20160115", "TM": "101112", "DS": "30", "AS": "009Y", "CS": "YES", "SQ": [code]}
    source = a_source(
        TimezoneOffsetFromUTC="+0100",
        LossyImageCompression="01",
        LossyImageCompressionRatio="10",
        LossyImageCompressionMethod="ISO_10918_1",
    )
    for keyword in (*TYPE_2, *TYPE_3):
        if keyword not in source:
            setattr(source, keyword, by_vr.get(dictionary_VR(keyword), "some text"))
    return source


@cache
def results(*, is_full: bool) -> dict[str, list[Dataset]]:
    """Return objects that carry all that an object of their kind can carry.

    Parameters
    ----------
    is_full : bool
        From a source that hands on all it can, its codes among them; otherwise only our codes.
    """
    findings = [
        a_finding(),
        a_finding(laterality="R", sex_seen="M", **UNKNOWN),
        a_finding(bone_age_months=160.0, interval_months=(155.0, 165.0)),
        a_finding(bone_age_months=90.0, interval_months=(85.0, 95.0)),
        a_finding(bone_age_months=140.0, interval_months=(120.0, 160.0)),
        a_finding(bone_age_months=215.0, interval_months=(195.0, 222.0)),
        a_finding(
            bone_age_months=215.0,
            sex="unknown",
            by_sex={"M": 228.0, "F": 215.0},
            laterality=None,
        ),
    ]
    sources = [a_source(), a_dx_source(), a_source(Modality="OT")]
    if is_full:
        sources = [full_source()]
    made: dict[str, list[Dataset]] = {title: [] for title in OBJECTS}
    titles = {sop_class: title for title, sop_class in OBJECTS.items()}
    for source in sources:
        for finding in findings:
            for dataset in objects_of(source, finding):
                made[titles[dataset.SOPClassUID]].append(dataset)
    return made


def objects_of(source: Dataset, finding: Finding) -> list[Dataset]:
    """Return an object of every kind, each a re-run's."""
    capture = build_secondary_capture(source, PICTURE, finding, an_identity(), predecessors=[OLD])
    report = build_structured_report(
        source, finding, an_identity(), predecessors=[OLD], heatmap=capture
    )
    return [capture, report]


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


def codes_in_results() -> set[tuple[str, str, str]]:
    """Return the codes of our own that results were seen to carry."""
    made = results(is_full=False)
    return {
        code for datasets in made.values() for dataset in datasets for code in codes_in(dataset)
    }


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
    keywords = {element.keyword for dataset in results(is_full=True)[title] for element in dataset}
    iod = standard("sop_class_iod_map")[OBJECTS[title]]
    return {_of_standard(iod, keyword) for keyword in keywords}


def _of_standard(iod: str, keyword: str) -> tuple[str, ...]:
    """Return where an attribute at the root of an IOD stands in PS3.3."""
    tag = tag_for_keyword(keyword)
    assert tag is not None
    for module in standard("iod_module_map")[iod]:
        for attribute in standard("module_attribute_map")[module["key"]]:
            if attribute["keyword"] == keyword and not attribute["path"]:
                name = module["key"].replace("-", " ").title()
                name = name.replace("Sr ", "SR ").replace("Sc ", "SC ").replace("Sop ", "SOP ")
                group, element = f"{tag:08X}"[:4], f"{tag:08X}"[4:]
                return name, keyword, f"({group},{element})", str(attribute["type"])
    message = f"PS3.3 has no {keyword} in {iod}"
    raise AssertionError(message)


def observed_tree() -> object:
    """Return the content tree of the reports that were built, as the statement has it."""
    tree: dict[tuple[str, ...], tuple[str, str, set[tuple[str, str, str]]]] = {}
    for report in results(is_full=False)["Attributes of Comprehensive 3D SR"]:
        for path, relationship, item in _walk(report, ()):
            *_, codes = tree.setdefault(path, (relationship, str(item.ValueType), set()))
            codes.update(_value_codes(item))
            assert tree[path][:2] == (relationship, item.ValueType)
    return tree


def _walk(item: Dataset, above: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str, Dataset]]:
    """Yield path, relationship and item of a content item and all below it."""
    value, scheme, meaning = code_triple(item.ConceptNameCodeSequence[0])
    path = (*above, f'({value}, {scheme}, "{meaning}")')
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


TREE = Check(claims.content_tree, (("Content tree", "concept name"),))
POLICY = Check(claims.status_policy, (("Status codes received", "status"),))
SETTINGS = Check(claims.settings, (("Settings that change network behaviour", "setting"),))
CHECKS: dict[str, tuple[Check, Callable[[], object]]] = {
    "codes": (Check(Statement.codes, ()), observed_codes),
    "content tree": (TREE, observed_tree),
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
        ("Attributes of Comprehensive 3D SR", "(0040,A491) | 1 |", "(0040,A491) | 3 |"),
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


def test_names_of_the_equipment_and_the_version() -> None:
    assert f"version {__version__}" in STATEMENT.text
    for name in (v.MANUFACTURER, v.MODEL_NAME, v.ALGORITHM_NAME):
        assert f"`{name}`" in STATEMENT.text
