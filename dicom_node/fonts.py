"""Fonts for text in any script, from two packages of Noto fonts; see docs/adr/0011.

No package is imported, and no font of the machine is used: the same text looks the same anywhere.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.metadata import distribution
from itertools import accumulate, groupby
from typing import TYPE_CHECKING, Final

from fontTools.ttLib import TTFont
from PIL import ImageFont, features

if TYPE_CHECKING:
    from collections.abc import Iterator

REGULAR: Final = 400
BOLD: Final = 600
"""Weights of the variable fonts; the Chinese, Japanese and Korean one is regular only."""

SCRIPTS: Final = "manimgx-fonts", "manimgx_fonts/"
"""Noto Sans, and Noto Sans of each script that it lacks, one file each."""
FIRST: Final = "NotoSans[wght].ttf"
UNUSED: Final = "NotoSans-Italic[wght].ttf"
LAST: Final = "NotoEmoji[wght].ttf"

HAN: Final = "noto-cjk-sans-otc", "noto_cjk_sans_otc/NotoSansCJK-Regular.ttc"
JAPANESE, KOREAN, CHINESE = 0, 1, 2
"""Faces of that collection: one character of Han has forms of its own in each country."""

JOINERS: Final = frozenset("\u200c\u200d")


@dataclass(frozen=True, slots=True)
class Face:
    """A font in a file.

    Attributes
    ----------
    path : str
        The file.
    index : int
        Of the font, where the file is a collection.
    is_variable : bool
        Whether its weight can be chosen.
    """

    path: str
    index: int = 0
    is_variable: bool = True


@dataclass(frozen=True, slots=True)
class Run:
    """A part of a text that one font has all glyphs of, written in one direction.

    Attributes
    ----------
    text : str
        As it is read.
    face : Face
        The font.
    is_leftward : bool
        Whether it is written from right to left.
    """

    text: str
    face: Face
    is_leftward: bool = False

    @property
    def direction(self) -> str | None:
        """Return the direction as Pillow takes it; without Raqm it takes none."""
        if not features.check("raqm"):
            return None
        return "rtl" if self.is_leftward else "ltr"


@cache
def faces(han: int = CHINESE) -> tuple[Face, ...]:
    """Return the fonts in the order in which they are asked for a glyph.

    Parameters
    ----------
    han : int
        `JAPANESE`, `KOREAN` or `CHINESE`.

    Raises
    ------
    importlib.metadata.PackageNotFoundError
        If a package of fonts is not installed.
    """
    package, folder = SCRIPTS
    kept = distribution(package)
    names = sorted(file.name for file in kept.files or () if file.suffix == ".ttf")
    others = [name for name in names if name not in {FIRST, UNUSED, LAST}]
    first, *scripts, last = (
        Face(str(kept.locate_file(folder + name))) for name in (FIRST, *others, LAST)
    )
    package, file = HAN
    path = str(distribution(package).locate_file(file))
    return first, *scripts, Face(path, han, is_variable=False), last


@lru_cache(maxsize=256)
def font(face: Face, size_px: float, weight: int = REGULAR) -> ImageFont.FreeTypeFont:
    """Return a font at a size; Pillow shapes with HarfBuzz where it was built with Raqm."""
    loaded = ImageFont.truetype(face.path, size_px, index=face.index)
    if face.is_variable:
        loaded.set_variation_by_axes([weight])
    return loaded


def runs(text: str) -> list[Run]:
    """Return a text in parts, from left to right, each with the first font that has its glyphs.

    A character that no font has goes to the first font, which shows a box for it. Blanks and
    punctuation stay with what stands before them. A text begins on the left; what is written from
    right to left within it has its parts in that order.
    """
    asked, parts = faces(_han(text)), list(clusters(text))
    found: list[Run] = []
    for part, is_leftward in zip(parts, _leftward(parts), strict=True):
        face = next((face for face in asked if _has(face, part)), asked[0])
        before = found[-1] if found else None
        if before and before.is_leftward == is_leftward:
            if _is_common(part) and _has(before.face, part):
                face = before.face
            if before.face == face:
                found[-1] = Run(before.text + part, face, is_leftward)
                continue
        found.append(Run(part, face, is_leftward))
    ordered: list[Run] = []
    for is_leftward, group in groupby(found, key=lambda run: run.is_leftward):
        ordered += list(group)[:: -1 if is_leftward else 1]
    return ordered


def _leftward(parts: list[str]) -> list[bool]:
    """Return what is written from right to left: letters, and what stands between such letters.

    The Unicode bidirectional algorithm for a text that begins on the left, without embeddings;
    within a run, Raqm applies all of it.
    """
    kinds = [unicodedata.bidirectional(part[0]) for part in parts]
    strong = [kind in {"R", "AL"} if kind in {"L", "R", "AL"} else None for kind in kinds]
    before = accumulate(strong, _latest)
    after = reversed(list(accumulate(reversed(strong), _latest)))
    found = [bool(left and right) for left, right in zip(before, after, strict=True)]
    opened: list[int] = []
    for index, part in enumerate(parts):
        category = unicodedata.category(part[0])
        if category == "Ps":
            opened.append(index)
        elif category == "Pe" and opened and found[start := opened.pop()]:
            # A bracket closes in the direction in which it was opened.
            found[start : index + 1] = [
                is_left is not False for is_left in strong[start : index + 1]
            ]
    return found


def _latest(kept: bool | None, found: bool | None) -> bool | None:
    """Return the direction of the nearest letter so far."""
    return kept if found is None else found


def clusters(text: str) -> Iterator[str]:
    """Yield the characters of a text, each with the marks that stand on it.

    Control characters become visible as U+FFFD; breaks and tabulators are blanks.
    """
    kept = ""
    for character in unicodedata.normalize("NFC", " ".join(text.split())):
        shown = "\ufffd" if unicodedata.category(character) == "Cc" else character
        if kept and (_joins(shown) or kept[-1] == "\u200d"):
            kept += shown
            continue
        if kept:
            yield kept
        kept = shown
    if kept:
        yield kept


def is_han(cluster: str) -> bool:
    """Return whether lines may break before and after this: Chinese and Japanese know no blanks."""
    name = unicodedata.name(cluster[0], "")
    return name.startswith(("CJK UNIFIED", "CJK COMPAT", "HIRAGANA", "KATAKANA"))


def _han(text: str) -> int:
    """Return which country's forms of Han a text asks for by its other letters."""
    names = [unicodedata.name(character, "") for character in text if ord(character) > 0x1000]  # noqa: PLR2004
    if any(name.startswith("HANGUL") for name in names):
        return KOREAN
    is_japanese = any(name.startswith(("HIRAGANA", "KATAKANA")) for name in names)
    return JAPANESE if is_japanese else CHINESE


def _joins(character: str) -> bool:
    """Return whether a character stands on, or is tied to, the one before it."""
    return character in JOINERS or unicodedata.category(character).startswith("M")


def _is_common(cluster: str) -> bool:
    """Return whether this is a blank or punctuation, which every script has."""
    return unicodedata.category(cluster[0])[0] in "PZ"


def _has(face: Face, cluster: str) -> bool:
    """Return whether a font has all glyphs of this; joiners need none."""
    return all(ord(c) in _glyphs(face.path) or c in JOINERS for c in cluster)


@cache
def _glyphs(path: str) -> frozenset[int]:
    """Return the code points that a file has glyphs for: alike in all fonts of a collection."""
    with TTFont(path, fontNumber=0, lazy=True) as opened:
        return frozenset(opened.getBestCmap())
