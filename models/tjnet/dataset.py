"""Pictures and labels: a folder, a tar, or a folder of ``train-*.tar``, and a CSV."""

from __future__ import annotations

import csv
import hashlib
import io
import math
import struct
import tarfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.tjnet.preprocess import LEVELS, PERCENTILES, to_input

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"}

DAMAGED = (
    OSError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What Pillow's readers raise on damaged files."""


class UnreadablePictureError(ValueError):
    """A file is absent, damaged, or no picture."""


@dataclass(frozen=True, slots=True)
class Label:
    """One row of the labels file.

    Attributes
    ----------
    id : str
        Name of the picture, without its suffix.
    sex : str
        "M", "F" or "unknown".
    bone_age_months : float
        The reader's bone age.
    split : str
        "train", "val" or "" where the file has no such column.
    chronological_age_months : float or None
        Age at acquisition; None where the file has no such column or an empty field.
    """

    id: str
    sex: str
    bone_age_months: float
    split: str
    chronological_age_months: float | None = None


def read_labels(path: Path, split: str | None = None) -> list[Label]:
    """Return the rows of a labels file, optionally those of one split.

    Raises
    ------
    ValueError
        If a column is missing or a value cannot be read; the line is named.
    """
    rows = read_rows(path, {"id", "sex", "bone_age_months"})
    labels = [_label(row, where) for where, row in rows]
    return [label for label in labels if split is None or label.split == split]


def read_rows(path: Path, columns: set[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the rows of a CSV file, each after its place in words (``FILE:LINE``).

    Raises
    ------
    ValueError
        If one of ``columns`` is missing, a row is too short, or the file is no CSV.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        missing = columns - set(reader.fieldnames or [])
        if missing:
            msg = f"{path}: no column {', '.join(sorted(missing))}"
            raise ValueError(msg)
        try:
            for row in reader:
                where = f"{path}:{reader.line_num}"
                if any(row[column] is None for column in columns):
                    msg = f"{where}: the row is too short"
                    raise ValueError(msg)
                yield where, row
        except csv.Error as error:
            msg = f"{path}:{reader.line_num}: {error}"
            raise ValueError(msg) from error


def _label(row: dict[str, str], where: str) -> Label:
    """Return one row as a `Label`."""
    sex = row["sex"].strip().upper()
    chronological = (row.get("chronological_age_months") or "").strip()
    return Label(
        id=row["id"].strip(),
        sex=sex if sex in {"M", "F"} else "unknown",
        bone_age_months=_age(row, "bone_age_months", where),
        split=row.get("split") or "",
        chronological_age_months=(
            _age(row, "chronological_age_months", where) if chronological else None
        ),
    )


def _age(row: dict[str, str], column: str, where: str) -> float:
    """Return an age in months.

    Raises
    ------
    ValueError
        If the field holds none.
    """
    try:
        months = float(row[column])
    except ValueError:
        months = math.nan
    if not (math.isfinite(months) and months >= 0):
        msg = f"{where}: {column} is not an age: {row[column]!r}"
        raise ValueError(msg)
    return months


def iter_pictures(data: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the name without suffix and the encoded bytes of every picture of ``data``.

    Raises
    ------
    FileNotFoundError
        If ``data`` is neither a tar file nor a folder with pictures or tar files.
    UnreadablePictureError
        If a tar file is damaged.
    """
    if data.is_file() and tarfile.is_tarfile(data):
        yield from _iter_tar(data)
        return
    shards = sorted(data.glob("train-*.tar")) if data.is_dir() else []
    for shard in shards:
        yield from _iter_tar(shard)
    if shards:
        return
    pictures = (
        [p for p in sorted(data.iterdir()) if p.suffix.lower() in SUFFIXES] if data.is_dir() else []
    )
    if not pictures:
        msg = f"{data}: neither a tar file nor a folder with pictures or train-*.tar"
        raise FileNotFoundError(msg)
    for path in pictures:
        yield path.stem, path.read_bytes()


def _iter_tar(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with tarfile.open(path) as tar:
            for member in tar:
                file = tar.extractfile(member) if member.isfile() else None
                if file is not None and Path(member.name).suffix.lower() in SUFFIXES:
                    yield Path(member.name).stem, file.read()
    except tarfile.TarError as error:
        msg = f"{path}: {error}"
        raise UnreadablePictureError(msg) from error


def decode_picture(encoded: bytes | Path) -> npt.NDArray[np.float32]:
    """Return a picture as (H, W) float32 in [0, 1], grey, 8 or 16 bits deep.

    Raises
    ------
    UnreadablePictureError
        If the file is absent, damaged, or no picture.
    """
    try:
        return _decode(encoded)
    except DAMAGED as error:
        # Pillow's own message names the file object; its class says enough.
        reason = error.strerror if isinstance(error, OSError) and error.strerror else None
        msg = reason or f"no readable picture ({type(error).__name__})"
        raise UnreadablePictureError(msg) from error


def _decode(encoded: bytes | Path) -> npt.NDArray[np.float32]:
    with Image.open(encoded if isinstance(encoded, Path) else io.BytesIO(encoded)) as image:
        if image.mode in {"I;16", "I;16B", "I", "F"}:
            pixels = np.asarray(image, dtype=np.float32)
            return pixels / 65535.0 if image.mode != "F" else pixels
        return np.asarray(image.convert("L"), dtype=np.float32) / 255.0


def _key(data: Path, size_px: int) -> str:
    """Name a cache by what it was made from."""
    shards = sorted(data.glob("train-*.tar")) if data.is_dir() else [data]
    sources = shards or [p for p in sorted(data.iterdir()) if p.suffix.lower() in SUFFIXES]
    stamp = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in sources]
    made_with = (stamp, size_px, PERCENTILES, LEVELS)
    return hashlib.sha256(repr(made_with).encode()).hexdigest()[:16]


def load_inputs(
    data: Path, size_px: int, cache: Path | None
) -> tuple[dict[str, int], npt.NDArray[np.uint8]]:
    """Return every picture as network input, decoded once and then read from a cache.

    Returns
    -------
    index : dict
        Row of each picture's name.
    inputs : ndarray of uint8
        (N, size_px, size_px).
    """
    path = cache / f"inputs-{_key(data, size_px)}.npz" if cache else None
    if path is not None and path.exists():
        with np.load(path) as stored:
            return {name: row for row, name in enumerate(stored["names"])}, stored["inputs"]
    pictures = list(iter_pictures(data))
    names = [name for name, _ in pictures]
    # Threads: Pillow and NumPy let go of the interpreter, and a training waits for this.
    with ThreadPoolExecutor() as pool:
        stacked = np.stack(
            list(pool.map(lambda p: to_input(decode_picture(p[1]), size_px), pictures))
        )
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, names=np.array(names), inputs=stacked)
        partial.replace(path)
    return {name: row for row, name in enumerate(names)}, stacked


def read_pictures(
    data: Path, wanted: Collection[str]
) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    """Yield the name and the pixels of each wanted picture of ``data``, each once.

    Raises
    ------
    ValueError
        Before the first is yielded, if some are absent: it says how many. If one is damaged.
    FileNotFoundError
        If ``data`` holds no pictures.
    """
    left = set(wanted)
    absent = left - {name for name, _ in iter_pictures(data)}
    if absent:
        msg = f"{data}: {len(absent)} of {len(left)} pictures are absent, {min(absent)} among them"
        raise ValueError(msg)
    for name, encoded in iter_pictures(data):
        if name in left:
            left.remove(name)
            try:
                pixels = decode_picture(encoded)
            except UnreadablePictureError as error:
                msg = f"{data}: picture {name}: {error}"
                raise UnreadablePictureError(msg) from error
            yield name, pixels


def data_hash(data: Path, labels: Path) -> str:
    """Return the SHA-256 over the labels and the pictures' names and sizes."""
    digest = hashlib.sha256(labels.read_bytes())
    for name, encoded in iter_pictures(data):
        digest.update(f"{name}:{len(encoded)};".encode())
    return digest.hexdigest()
