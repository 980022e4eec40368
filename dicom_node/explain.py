"""What the node would do with a file by its header, and why; nothing is stored.

The gate before the network looks at the pixels, and only when the job is assessed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydicom import Dataset

from dicom_node import intake, routes
from dicom_node.errors import UnreadableError
from dicom_node.header import read_header, text
from dicom_node.source_header import chronological_age_months, laterality, recorded_sex
from dicom_node.transfer_syntaxes import decodable_transfer_syntaxes

if TYPE_CHECKING:
    from pathlib import Path

    from dicom_node.config import Config


def explain(config: Config, file: Path, calling_ae_title: str) -> dict[str, Any]:
    """Return the verdict on a file as the listener and the intake would come to it.

    Returns
    -------
    dict
        ``file, eligible, reason, routes, destinations`` and what was read: ``sex``,
        ``chronological_age_months``, ``laterality``.
    """
    try:
        header = read_header(file)
    except UnreadableError as error:
        return _answer(config, file, calling_ae_title, Dataset(), str(error))
    syntax = header.file_meta.get("TransferSyntaxUID") if hasattr(header, "file_meta") else None
    reason: str | None
    if calling_ae_title and not routes.caller_allowed(config, calling_ae_title):
        reason = f"{calling_ae_title} may not call: it is not among the callers"
    elif syntax not in decodable_transfer_syntaxes():
        reason = f"its transfer syntax cannot be decoded here: {_named(syntax)}"
    else:
        reason = intake.verdict(config, calling_ae_title, header)
    return _answer(config, file, calling_ae_title, header, reason)


def _named(syntax: Any) -> str:  # noqa: ANN401 - whatever the file holds
    return str(getattr(syntax, "name", None) or "none is given")


def _answer(
    config: Config, file: Path, calling: str, header: Dataset, reason: str | None
) -> dict[str, Any]:
    eligible = reason is None
    return {
        "file": str(file),
        "eligible": eligible,
        "reason": reason,
        "modality": text(header, "Modality"),
        "sex": recorded_sex(header),
        "chronological_age_months": chronological_age_months(header),
        "laterality": laterality(header),
        "routes": routes.matching(config, calling, header) if eligible else [],
        "destinations": routes.destinations_for(config, calling, header) if eligible else [],
    }
