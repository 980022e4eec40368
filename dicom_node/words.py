"""The texts of a report, one catalogue for each language; see languages/en.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

import yaml
from pydicom.sr.coding import Code

if TYPE_CHECKING:
    from collections.abc import Mapping


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
        return self.texts[key].format_map(values)


@cache
def words_of(language: str) -> Words:
    """Return the texts of a language by the name of its catalogue, such as "en"."""
    catalogue = files("dicom_node") / "languages" / f"{language}.yaml"
    texts = yaml.safe_load(catalogue.read_text(encoding="utf-8"))
    return Words(Code(texts.pop("tag"), "RFC5646", texts.pop("name")), texts)


ENGLISH: Final = words_of("en")
