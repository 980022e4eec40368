"""The catalogues of texts: the same keys and placeholders in every language."""

from __future__ import annotations

import re
from importlib.resources import files
from string import Formatter
from typing import get_args

import pytest

from dicom_node.config import ResultsSection
from dicom_node.words import ENGLISH, words_of

LANGUAGES = sorted(
    path.name.removesuffix(".yaml") for path in (files("dicom_node") / "languages").iterdir()
)


def placeholders(text: str) -> set[str]:
    """Return the names in braces."""
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_every_configurable_language_has_a_catalogue_and_the_reverse() -> None:
    annotation = ResultsSection.model_fields["language"].annotation
    assert sorted(get_args(annotation)) == LANGUAGES


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_catalogue_has_the_english_keys_and_placeholders(language: str) -> None:
    words = words_of(language)

    assert set(words.texts) == set(ENGLISH.texts)
    for key, text in words.texts.items():
        assert isinstance(text, str), key
        assert placeholders(text) == placeholders(ENGLISH.texts[key]), key
    assert re.fullmatch(r"[a-z]{2}(-[A-Z]{2})?", words.language.value)


def test_every_key_is_asked_for_by_some_module() -> None:
    modules = [path for path in files("dicom_node").iterdir() if path.name.endswith(".py")]
    code = "".join(path.read_text(encoding="utf-8") for path in modules)
    # Made from a sex's own key, or a determination's own word.
    made = {"if_male", "if_female", "normal", "delayed", "advanced", "indeterminate"}

    assert {key for key in ENGLISH.texts if f'"{key}"' not in code} - made == set()


def test_a_missing_value_is_an_error_and_not_a_blank() -> None:
    with pytest.raises(KeyError):
        ENGLISH("age", years=1)
