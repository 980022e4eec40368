"""What becomes of a delivery to an archive that does not know every kind of result."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from pydicom.uid import (
    Comprehensive3DSRStorage,
    EncapsulatedPDFStorage,
    SecondaryCaptureImageStorage,
)

from dicom_node import deliveries, jobs, pipeline
from dicom_node.db import DeliveryRow, OutputRow
from dicom_node.states import DeliveryState, JobState
from tests.builders import a_destination, add_job, add_output, cr_header, write_dicom

if TYPE_CHECKING:
    from pathlib import Path

    from dicom_node.node import Node
    from tests.peers import Dcmtk

KINDS = {
    "sc": SecondaryCaptureImageStorage,
    "pdf": EncapsulatedPDFStorage,
    "sr": Comprehensive3DSRStorage,
}
PROFILE = """\
[[TransferSyntaxes]]
[Native]
TransferSyntax1 = LocalEndianExplicit
TransferSyntax2 = LittleEndianImplicit
[[PresentationContexts]]
[Known]
{contexts}
[[Profiles]]
[Default]
PresentationContexts = Known
"""


@pytest.mark.parametrize(
    ("known", "state", "reason"),
    [
        (("sc", "sr"), DeliveryState.SENT, None),
        (
            ("sr", "pdf"),
            DeliveryState.REFUSED,
            "SC: the peer does not accept this kind of object",
        ),
    ],
)
def test_only_what_is_optional_may_be_left_out(
    node: Node,
    dcmtk: Dcmtk,
    tmp_path: Path,
    known: tuple[str, ...],
    state: DeliveryState,
    reason: str | None,
) -> None:
    names = {"sc": "SecondaryCaptureImage", "sr": "Comprehensive3DSR", "pdf": "EncapsulatedPDF"}
    contexts = "\n".join(
        f"PresentationContext{number} = {names[kind]}Storage\\Native"
        for number, kind in enumerate(known, start=1)
    )
    profile = tmp_path / "archive.cfg"
    profile.write_text(PROFILE.format(contexts=contexts))
    with dcmtk.storescp(accepting=["-xf", str(profile), "Default"]) as archive:
        peer = a_destination("PACS", port=archive.port)
        node = replace(node, config=node.config.model_copy(update={"destinations": [peer]}))
        with node.database.write() as session:
            job_id = add_job(session, JobState.REPORTED)
            for kind, sop_class in KINDS.items():
                row = session.get_one(OutputRow, add_output(session, job_id, kind))
                file = write_dicom(tmp_path / f"{kind}.dcm", cr_header(SOPClassUID=sop_class))
                path = node.storage.absolute(row.path)
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(file, path)
            (delivery,) = deliveries.create(session, job_id, ["PACS"])
        pipeline.send(node, delivery)

    with node.database.read() as session:
        row_of = session.get_one(DeliveryRow, delivery)
        assert (row_of.state, row_of.reason or None) == (state, reason)
        expected = JobState.SENT if state == DeliveryState.SENT else JobState.FAILED
        assert jobs.get(session, job_id).state == expected
