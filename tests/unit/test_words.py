"""The catalogues of texts: the same keys and placeholders in every language."""

from __future__ import annotations

import ast
import inspect
import re
import unicodedata
from importlib.resources import files
from string import Formatter
from typing import TYPE_CHECKING, get_args

import numpy as np
import pytest

from dicom_node import pixels, transfer_syntaxes
from dicom_node.config import ResultsSection
from dicom_node.words import ENGLISH, words_of
from models.gate.checks import refusal_of
from models.gate.look import REFUSALS

if TYPE_CHECKING:
    from types import ModuleType

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
    assert words.language.value[:2] == language


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_catalogue_says_each_key_once_and_its_texts_are_trimmed_and_composed(
    language: str,
) -> None:
    catalogue = (files("dicom_node") / "languages" / f"{language}.yaml").read_text(encoding="utf-8")
    keys = re.findall(r"^(\w+):", catalogue, re.MULTILINE)

    assert len(keys) == len(set(keys))
    for key, text in words_of(language).texts.items():
        assert text == text.strip(), key
        assert unicodedata.normalize("NFC", text) == text, key
        assert text, key


@pytest.mark.parametrize("language", sorted({*LANGUAGES} - {"en"}))
def test_no_text_was_left_in_english(language: str) -> None:
    same = {key for key, text in words_of(language).texts.items() if text == ENGLISH.texts[key]}
    # A name, forms of punctuation, and words that are the same.
    assert same <= {
        *{"method_text", "decimal", "labelled", "probability", "title"},
        *{"image", "normal", "patient", "z_score"},
    }


def test_french_has_an_unbroken_space_before_its_double_marks() -> None:
    for key, text in words_of("fr").texts.items():
        bare = re.sub(r"{\w+(:[^}]*)?}", "", text)  # what stands between placeholders
        assert not re.search(r"[^\N{NO-BREAK SPACE}][:;%!?]", bare), key


# --- refusals ------------------------------------------------------------------------------

GATE = [*REFUSALS.values(), "the image has no contrast"]


@pytest.mark.parametrize("reason", GATE)
@pytest.mark.parametrize("language", LANGUAGES)
def test_what_the_gate_says_is_in_every_language(language: str, reason: str) -> None:
    said = words_of(language).reason(reason)
    assert (said == reason) == (language == "en")


def test_every_reason_of_the_gate_is_in_the_catalogue() -> None:
    """A text that is changed there alone would come out in English."""
    small, flat = np.zeros((64, 64)), np.zeros((512, 512))
    saturated = np.zeros((512, 512))
    saturated[:, 256:] = 1
    levels = {0: np.zeros((2, 2), np.uint8), 1: np.ones((2, 2), np.uint8)}
    reasons = [refusal_of(small, levels[1]), refusal_of(flat, levels[0])]
    reasons += [refusal_of(saturated, levels[1]), *REFUSALS.values()]

    for reason in reasons:
        assert reason is not None
        assert words_of("de").reason(reason) != reason


def _texts_of(module: ModuleType, *names: str) -> set[str]:
    """Return the texts that a module's ``msg`` can have, {} for what is put in."""
    tree = ast.parse(inspect.getsource(module))
    found = (
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in names
    )
    return {
        "".join(
            str(part.value) if isinstance(part, ast.Constant) else "{}"
            for part in (value.values if isinstance(value, ast.JoinedStr) else [value])
        )
        for value in found
    }


def test_every_reason_of_the_decoders_is_in_the_catalogue() -> None:
    catalogue = {re.sub(r"{\w+}", "{}", text) for text in ENGLISH.texts.values()}
    reasons = _texts_of(pixels, "msg") | _texts_of(transfer_syntaxes, "msg")

    assert len(reasons) >= 8
    assert reasons - catalogue == set()


@pytest.mark.parametrize(
    ("reason", "german"),
    [
        (
            "the network cannot tell: its answers spread over 31 months",
            "das Netz ist zu unsicher: seine Antworten streuen über 31 Monate",
        ),
        (
            "its pixel data cannot be decoded (JPEG Baseline (Process 1))",
            "die Bilddaten können nicht dekodiert werden (JPEG Baseline (Process 1))",
        ),
        ("body part FOOT, not a hand", "body part FOOT, not a hand"),
    ],
)
def test_a_reason_keeps_its_values_and_a_strange_one_its_english(reason: str, german: str) -> None:
    assert words_of("de").reason(reason) == german
    assert ENGLISH.reason(reason) == reason


def test_every_key_is_asked_for_by_some_module() -> None:
    modules = [path for path in files("dicom_node").iterdir() if path.name.endswith(".py")]
    code = "".join(path.read_text(encoding="utf-8") for path in modules)
    # Made from a sex's own key, or a determination's own word.
    made = {"if_male", "if_female", "normal", "delayed", "advanced", "indeterminate"}
    # Found by their English texts.
    made |= {key for key in ENGLISH.texts if key.startswith("refused_")}

    assert {key for key in ENGLISH.texts if f'"{key}"' not in code} - made == set()


def test_a_missing_value_is_an_error_and_not_a_blank() -> None:
    with pytest.raises(KeyError):
        ENGLISH("age", years=1)
