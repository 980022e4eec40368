"""The texts of a report, one catalogue for each language; see languages/en.yaml."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

import yaml
from pydicom.sr.coding import Code

if TYPE_CHECKING:
    from collections.abc import Mapping


class Count(int):
    """A whole number that chooses its noun: "{years:an|an|ans}" is for 0, for 1, and for more."""

    __slots__ = ()

    def __format__(self, spec: str) -> str:
        """Return the noun, or the number where the placeholder offers none."""
        forms = spec.split("|")
        return forms[min(self, len(forms) - 1)] if len(forms) > 1 else super().__format__(spec)


@dataclass(frozen=True, slots=True)
class Words:
    """The texts of one language; called with a key and what goes into its placeholders.

    Attributes
    ----------
    language : Code
        RFC 5646 tag and name, as TID 1204 takes them.
    texts : mapping of str
        Each key's text, with its {placeholders}.
    """

    language: Code
    texts: Mapping[str, str]

    def __call__(self, key: str, **values: object) -> str:
        """Return a text.

        Raises
        ------
        KeyError
            If there is no such key, or a placeholder is without a value.
        """
        counted = {k: Count(v) if isinstance(v, int) else v for k, v in values.items()}
        return self.texts[key].format_map(counted)

    def number(self, value: float, spec: str) -> str:
        """Return a number as Python formats it, with the decimal mark of the language."""
        return format(value, spec).replace(".", self.texts["decimal"])

    def reason(self, english: str) -> str:
        """Return why a radiograph is refused, which the database keeps in English.

        A reason that is not in the catalogue stays English: a strange text says more than none.
        """
        for key, pattern in _reasons():
            if found := pattern.fullmatch(english):
                return self(key, **found.groupdict())
        return english


@cache
def words_of(language: str) -> Words:
    """Return the texts of a language by the name of its catalogue, such as "en"."""
    catalogue = files("dicom_node") / "languages" / f"{language}.yaml"
    texts = yaml.safe_load(catalogue.read_text(encoding="utf-8"))
    return Words(Code(texts.pop("tag"), "RFC5646", texts.pop("name")), texts)


ENGLISH: Final = words_of("en")


@cache
def _reasons() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Return a pattern for each refusal in English; what stands for a placeholder is its group."""
    return tuple(
        (key, re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+)", re.escape(text))))
        for key, text in ENGLISH.texts.items()
        if key.startswith("refused_")
    )
