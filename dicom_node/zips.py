"""The members of a zip, one after the other, each unpacked into a file of our own name.

A zip is not to be trusted: what it says of its sizes is not believed, and the names in it are
words for a person, never paths.
"""

from __future__ import annotations

import lzma
import struct
import uuid
import zipfile
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dicom_node.errors import UnreadableError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

STARTS: Final = (b"PK\x03\x04", b"PK\x05\x06")
"""Of a zip, and of one with nothing in it (APPNOTE 4.3)."""

END_RECORD: Final = struct.Struct("<4s4H2LH")
END_SIGNATURE, LOCATOR_SIGNATURE = b"PK\x05\x06", b"PK\x06\x07"
LOCATOR_BYTES: Final = 20
LONGEST_COMMENT: Final = 65_535

MOST_MEMBERS: Final = 10_000
LARGEST_DIRECTORY_BYTES: Final = 16 << 20
"""It is read in one piece."""

MOST_UNPACKED: Final = 4
"""Times what may be uploaded: so much may a zip unpack to. Radiographs pack to a half."""

BLOCK_BYTES: Final = 1 << 20
ENCRYPTED: Final = 0x1
"""The bit of a member's flags."""

UNREADABLE_ZIP: Final = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError),
    *(NotImplementedError, ValueError, OverflowError, struct.error, UnicodeError, KeyError),
)
"""What zipfile raises on damaged or unknown ones."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a zip: its name there, and where it lies, or why it does not."""

    name: str
    path: Path | None
    reason: str = ""


def is_zip(head: bytes) -> bool:
    """Return whether a file that begins so is a zip."""
    return head.startswith(STARTS)


def check_directory(path: Path) -> None:
    """Check that the list of members is short enough to be read.

    Raises
    ------
    UnsupportedError
        If it is too long, or of the kind for more than 65,535 members (zip64).
    UnreadableError
        If there is none: the zip is cut short.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - END_RECORD.size - LONGEST_COMMENT - LOCATOR_BYTES))
        tail = file.read()
    start = tail.rfind(END_SIGNATURE)
    if start < 0 or start + END_RECORD.size > len(tail):
        msg = "the zip is damaged: its end is missing"
        raise UnreadableError(msg)
    *_, count, directory_bytes, _, _ = END_RECORD.unpack_from(tail, start)
    # zipfile believes this record wherever it stands, whatever the one after it says.
    is_zip64 = tail[max(0, start - LOCATOR_BYTES) :].startswith(LOCATOR_SIGNATURE)
    if is_zip64 or count > MOST_MEMBERS or directory_bytes > LARGEST_DIRECTORY_BYTES:
        msg = f"the zip has too many files: at most {MOST_MEMBERS} (and no zip64)"
        raise UnsupportedError(msg)


def members(
    path: Path, folder: Path, most_bytes: int, check_space: Callable[[], None]
) -> Iterator[Member]:
    """Unpack a zip's files one by one into ``folder``; each is removed before the next comes.

    Parameters
    ----------
    path : Path
        The zip.
    folder : Path
        Where each file lies while it is looked at, under a name of ours.
    most_bytes : int
        All files together may unpack to so many; the one that goes beyond is the last.
    check_space : callable
        Asked before each block; raises where the disk is nearly full.

    Raises
    ------
    StoreError
        If the zip cannot be read, or the disk is nearly full.
    OSError
        If the disk fails.
    """
    check_directory(path)
    try:
        archive = zipfile.ZipFile(path)
    except UNREADABLE_ZIP as error:
        msg = f"the zip is damaged ({type(error).__name__})"
        raise UnreadableError(msg) from error
    left = most_bytes
    with archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            if info.flag_bits & ENCRYPTED:
                yield Member(info.filename, None, "it is encrypted")
                continue
            target = folder / f"{uuid.uuid4().hex}.part"
            try:
                used = _unpack(archive, info, target, left, check_space)
                if used is None:
                    reason = f"the zip unpacks to more than {most_bytes // 1_000_000} MB"
                    yield Member(info.filename, None, f"{reason}; nothing more of it is taken")
                    return
                left -= used
                yield Member(info.filename, target)
            except UNREADABLE_ZIP as error:
                yield Member(info.filename, None, f"it is damaged ({type(error).__name__})")
            finally:
                target.unlink(missing_ok=True)


def _unpack(
    archive: zipfile.ZipFile,
    info: zipfile.ZipInfo,
    target: Path,
    most_bytes: int,
    check_space: Callable[[], None],
) -> int | None:
    """Unpack one file; returns its bytes, None where they are too many."""
    used = 0
    with archive.open(info) as source, target.open("wb") as file:
        while block := source.read(BLOCK_BYTES):
            used += len(block)
            if used > most_bytes:
                return None
            check_space()
            file.write(block)
    return used
