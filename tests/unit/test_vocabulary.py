"""The code values: legal, declared, and what PS3.16 has under them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
from pydicom.sr._concepts_dict import concepts
from pydicom.sr.coding import Code

from dicom_node import vocabulary as v

if TYPE_CHECKING:
    from collections.abc import Iterator


def _codes() -> Iterator[Code]:
    """Yield every code of the vocabulary."""
    for value in vars(v).values():
        for candidate in value.values() if isinstance(value, dict) else (value,):
            if isinstance(candidate, Code):
                yield candidate


CODES = sorted({(code.value, code.scheme_designator, code.meaning) for code in _codes()})
NOT_IN_PYDICOM = {
    ("252956001", "SCT"),  # seen in one mirror of SNOMED CT only
    ("85562004", "SCT"),  # there as "Hand structure (body structure)"
    ("{pixels}", "UCUM"),
    ("a/a", "UCUM"),
    ("C0034375", "UMLS"),
    ("85151-9", "LN"),
    ("37362-1", "LN"),
    ("en-US", "RFC5646"),
}


@pytest.mark.parametrize(("value", "scheme", "meaning"), CODES)
def test_a_code_fits_its_attributes(value: str, scheme: str, meaning: str) -> None:
    assert 1 <= len(value) <= 16
    assert 1 <= len(scheme) <= 16
    assert 1 <= len(meaning) <= 64


@pytest.mark.parametrize(("value", "scheme", "meaning"), CODES)
def test_a_private_code_is_declared_and_a_public_one_is_what_it_says(
    value: str, scheme: str, meaning: str
) -> None:
    declared = {item.CodingSchemeDesignator for item in v.scheme_items()}
    if scheme.startswith("99"):
        assert scheme in declared
    elif (value, scheme) not in NOT_IN_PYDICOM:
        named = cast("dict[str, dict[str, tuple[str, list[int]]]]", concepts[scheme])
        known = {
            code: words[0].casefold() for there in named.values() for code, words in there.items()
        }
        assert known[value] in {meaning.casefold(), f"{meaning.casefold()} (attribute)"}


def test_no_code_stands_for_two_things() -> None:
    assert len({(value, scheme) for value, scheme, _ in CODES}) == len(CODES)


def test_a_derived_uid_is_always_the_same_and_a_new_one_never() -> None:
    assert v.derived_uid("a", "b") == v.derived_uid("a", "b")
    assert v.derived_uid("a", "b") != v.derived_uid("a", "c")
    assert v.new_uid() != v.new_uid()
    for uid in (v.derived_uid("a"), v.new_uid(), v.IMPLEMENTATION_CLASS_UID):
        assert uid.is_valid
        assert uid.startswith(v.UID_ROOT)


def test_names_and_markings_fit_their_attributes() -> None:
    assert len(v.IMPLEMENTATION_VERSION_NAME) <= 16
    for words in (v.SR_SERIES_DESCRIPTION, v.SC_SERIES_DESCRIPTION, v.MANUFACTURER, v.MODEL_NAME):
        assert len(words) <= 64
    for words in (v.SR_SERIES_DESCRIPTION, v.SC_SERIES_DESCRIPTION):
        assert "research use only" in words
