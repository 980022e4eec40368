"""The exceptions of the node; those a C-STORE can end in carry their DIMSE status.

::

    NodeError                     anything the node raises on purpose
    ├── ConfigError               config.yaml cannot be used (exit 2)
    ├── NoSuchJobError            no job has this id (exit 4)
    ├── NoSuchBatchError          no batch has this id (exit 4)
    ├── NotAllowedError           the job's state does not allow it (exit 5)
    ├── CorrectionError           a person's correction cannot be (exit 2)
    ├── OrderError                what a person asks of jobs cannot be (exit 2)
    ├── QuestionError             a query that cannot be asked (exit 2)
    ├── PeerError                 a peer refused or is away (exit 6)
    │   └── AssociationError      there is no association: rejected, aborted, or nobody is there
    │       └── NoContextError    it accepts none of the kinds of object that were proposed
    ├── PixelsError               the pixel data cannot be read as one radiograph
    └── StoreError                a C-STORE is answered with `status`
        ├── OutOfResourcesError   0xA700  no space, or the database is away
        ├── MismatchError         0xA900  the data set is not what the command says
        ├── UnreadableError       0xC210  the header cannot be parsed
        └── UnsupportedError      0x0122  SOP class not supported

The statuses are those of the Storage service class, PS3.4 B.2.3, and PS3.7 C.
"""

from __future__ import annotations

from typing import ClassVar


class NodeError(Exception):
    """Anything the node raises on purpose; its text names no person."""

    exit_code: ClassVar[int] = 1


class ConfigError(NodeError):
    """The configuration cannot be used; the text names the key and the reason."""

    exit_code = 2


class NoSuchJobError(NodeError):
    """No job has this id."""

    exit_code = 4


class NoSuchBatchError(NodeError):
    """No batch has this id."""

    exit_code = 4


class NotAllowedError(NodeError):
    """The job is in a state that does not allow what was asked."""

    exit_code = 5


class CorrectionError(NodeError):
    """A correction that cannot be; its value is not repeated: it may be a birth date."""

    exit_code = 2


class OrderError(NodeError):
    """What a person asks of jobs cannot be, such as weights that are not here."""

    exit_code = 2


class QuestionError(NodeError):
    """A query that cannot be asked; its values are not repeated: one may be a name."""

    exit_code = 2


class PeerError(NodeError):
    """A peer refused the association or the object, or cannot be reached."""

    exit_code = 6


class AssociationError(PeerError):
    """No association came about: it was rejected or aborted, or nobody is there."""


class NoContextError(AssociationError):
    """The peer accepts none of the kinds of object that were proposed."""


class PixelsError(NodeError):
    """The pixel data cannot be read as one radiograph."""


class StoreError(NodeError):
    """A C-STORE request that is not answered with success."""

    status: ClassVar[int] = 0x0110


class OutOfResourcesError(StoreError):
    """Nothing could be made durable: no space, or the database is away. The sender retries."""

    status = 0xA700


class MismatchError(StoreError):
    """The data set's UIDs are not those of the command, or are no UIDs at all."""

    status = 0xA900


class UnreadableError(StoreError):
    """The header of the data set cannot be parsed."""

    status = 0xC210


class UnsupportedError(StoreError):
    """The SOP class is not one that is accepted from this peer."""

    status = 0x0122
