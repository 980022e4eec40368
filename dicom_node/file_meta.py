"""A DICOM file as the node keeps it: our own preamble and file meta information (PS3.10 7.1).

What stands before the data set is the maker's of the file: a preamble that may be a program, a
group length that may be wrong or absent. A data set that comes by C-STORE has none of it, so a
file gets what the listener would have written, and its content has the same hash.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

from pydicom.config import disable_value_validation
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomFileLike
from pydicom.filereader import _read_file_meta_info, read_preamble
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID

from dicom_node.errors import UnreadableError
from dicom_node.header import UNREADABLE, read_header, text
from dicom_node.storage import check_uid
from dicom_node.vocabulary import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom import Dataset

PREFIX: Final = b"DICM"
PREFIX_AT: Final = 128
COPY_BLOCK: Final = 1 << 20


def is_part_10(head: bytes) -> bool:
    """Return whether a file that begins so is a DICOM file."""
    return head[PREFIX_AT : PREFIX_AT + len(PREFIX)] == PREFIX


def transfer_syntax(header: Dataset) -> UID:
    """Return the transfer syntax that a header just read was written in.

    Raises
    ------
    UnreadableError
        If its file meta information names none.
    """
    syntax = UID(text(header.file_meta, "TransferSyntaxUID"))
    if not syntax:
        msg = "the file does not say its transfer syntax"
        raise UnreadableError(msg)
    return syntax


def _own_meta(header: Dataset) -> FileMetaDataset:
    """Return what the listener would write before this data set."""
    sop_class, instance = (check_uid(text(header, k)) for k in ("SOPClassUID", "SOPInstanceUID"))
    meta = FileMetaDataset()
    with disable_value_validation():  # modalities send components with leading zeros
        meta.MediaStorageSOPClassUID = UID(sop_class)
        meta.MediaStorageSOPInstanceUID = UID(instance)
        meta.TransferSyntaxUID = transfer_syntax(header)
        meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
        meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    return meta


def rewrite(source: Path, target: Path) -> None:
    """Copy a DICOM file with a preamble and file meta information of our own.

    Raises
    ------
    UnreadableError
        If its header is damaged.
    MismatchError
        If its SOP instance UID is none.
    OSError
        If the disk fails.
    """
    header = read_header(source)
    meta = _own_meta(header)
    with source.open("rb") as old, target.open("wb") as new:
        try:
            read_preamble(old, force=False)
            _read_file_meta_info(old)
            new.write(bytes(PREFIX_AT) + PREFIX)
            with disable_value_validation():
                write_file_meta_info(DicomFileLike(new), meta)
        except OSError:
            raise
        except UNREADABLE as error:
            msg = f"the file meta information cannot be read ({type(error).__name__})"
            raise UnreadableError(msg) from error
        shutil.copyfileobj(old, new, COPY_BLOCK)
