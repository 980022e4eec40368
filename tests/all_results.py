"""Results of every kind, built and kept as a job's are, from all that changes what is in them.

Each is a re-run's, so that it names what it replaces, and a rejection note comes with it.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import ComputedRadiographyImageStorage, generate_uid

from dicom_node import results
from dicom_node.config import load_config
from dicom_node.finding import Correction, Finding, Known, Refusal, Replaced
from dicom_node.growth import EarlierResult, growth_velocity
from dicom_node.header import settle_text
from dicom_node.node import Node
from dicom_node.source_header import TYPE_2, TYPE_3
from tests.nodes import MODALITY, destination, write_config
from tests.samples import (
    STARTED,
    STUDY,
    UNKNOWN,
    WEIGHTS,
    a_dx_source,
    a_finding,
    a_source,
    read_back,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dicom_node.db import OutputRow

PICTURE = np.linspace(0, 1, 32 * 24, dtype=np.float32).reshape(32, 24)
EVERY_KIND: dict[str, Any] = {
    "hand_box": True,
    "presentation_state": True,
    "encapsulated_pdf": True,
    "parametric_map": True,
    "answer_refused": True,
}
"""The section ``results`` with every object, and all that a report can have."""

OTHER_LANGUAGES = ("de", "fr", "es", "ko")
REFUSAL = Refusal("no hand was found", "L", STARTED, WEIGHTS)


# --- from what they are built --------------------------------------------------------------


def findings() -> list[Finding | Refusal]:
    """Return what can be found: every sex, side, determination and end of the atlas; a refusal."""
    return [
        a_finding(),
        a_finding(laterality="R", sex_seen="M", **UNKNOWN),
        a_finding(bone_age_months=160.0, interval_months=(155.0, 165.0)),
        a_finding(bone_age_months=90.0, interval_months=(85.0, 95.0)),
        a_finding(bone_age_months=140.0, interval_months=(120.0, 160.0)),
        a_finding(bone_age_months=215.0, interval_months=(195.0, 222.0)),
        a_finding(
            bone_age_months=215.0,
            sex="unknown",
            by_sex={"M": 228.0, "F": 215.0},
            laterality=None,
        ),
        _with_history(),
        REFUSAL,
    ]


def _with_history() -> Finding:
    """Return a finding with earlier results, a growth velocity, corrections and a predecessor."""
    finding, taken_on = a_finding(), date(2026, 1, 1)
    earlier = (EarlierResult(date(2024, 6, 1), 101.0, 104.5, 9.0, WEIGHTS),)
    corrections = (
        Correction("PatientSex", "F", "admin"),
        Correction("PatientBirthDate", "20160115", "admin"),
        Correction("ImageLaterality", "L", "admin"),
    )
    return replace(
        finding,
        acquired_on=taken_on,
        earlier=earlier,
        velocity=growth_velocity(finding.estimate, taken_on, earlier),
        corrections=corrections,
        replaces=Replaced(STARTED, "other weights", "0.0.9", "ward-1"),
    )


def sources() -> list[Dataset]:
    """Return radiographs of every modality; their own codes are in none."""
    return [a_source(), a_dx_source(), a_source(Modality="OT")]


def full_sources() -> list[Dataset]:
    """Return headers with all that a result can have from its source.

    Beside patient and study: gray levels by a rescaling or by a modality LUT, and text that is
    not in the declared character set.
    """
    rescaled = _full_source(RescaleSlope=2, RescaleIntercept=-5, WindowCenter=9, WindowWidth=7)
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [4, 0, 16])
    table.add_new("LUTData", "OW", np.arange(4, dtype="<u2").tobytes())
    table.ModalityLUTType = "US"
    mapped = _full_source(ModalityLUTSequence=[table])
    text, tag = "Hände".encode(), Tag("StudyDescription")
    undeclared = a_source(leave_out=("SpecificCharacterSet",))
    undeclared[tag] = RawDataElement(tag, "LO", len(text), text, 0, False, True)  # noqa: FBT003
    return [rescaled, mapped, undeclared]


def _full_source(**changes: Any) -> Dataset:  # noqa: ANN401 - any attribute
    """Return a header with every patient and study attribute that a result inherits."""
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "X", "99HOSP", "Something"
    code.ReferencedSOPClassUID = ComputedRadiographyImageStorage
    code.ReferencedSOPInstanceUID = generate_uid()
    code.PatientID, code.TypeOfPatientID = "P2", "TEXT"
    by_vr = {"DA": "20160115", "TM": "101112", "DS": "30", "AS": "009Y", "CS": "YES", "SQ": [code]}
    source = a_source(
        TimezoneOffsetFromUTC="+0100",
        LossyImageCompression="01",
        LossyImageCompressionRatio="10",
        LossyImageCompressionMethod="ISO_10918_1",
        **changes,
    )
    for keyword in (*TYPE_2, *TYPE_3):
        if keyword not in source:
            setattr(source, keyword, by_vr.get(dictionary_VR(keyword), "some text"))
    return source


# --- how they are built --------------------------------------------------------------------


@cache
def all_results(*, is_full: bool) -> tuple[Dataset, ...]:
    """Return results that, taken together, have all that results can have.

    Parameters
    ----------
    is_full : bool
        From sources that hand on all they can, their codes among them; otherwise only our codes.
    """
    first, *others = findings()
    if is_full:
        pairs = [(source, found) for source in full_sources() for found in (first, REFUSAL)]
        return tuple(_built(pairs))
    pairs = [(source, first) for source in sources()]
    made = _built([*pairs, *((a_source(), found) for found in others)])
    for language in OTHER_LANGUAGES:
        made += _built(pairs[:1], language=language, rejection_title="113001", hand_box=False)
    return tuple(made)


def _built(pairs: list[tuple[Dataset, Finding | Refusal]], **settings: object) -> list[Dataset]:
    """Return what a node with these settings makes of sources and findings."""
    peers = [destination("PACS", "ARCHIVE", 1, rejection_notes=True)]
    values = {"destinations": peers, "results": {**EVERY_KIND, **settings}}
    made: list[Dataset] = []
    with TemporaryDirectory() as folder, node_of(Path(folder), values) as node:
        work = rerun_work(node)
        for header, found in pairs:
            source = read_back(header, Path(folder) / "source.dcm")
            settle_text(source)
            rows = results.build(node, work, source, PICTURE, found)
            made += [pydicom.dcmread(node.storage.absolute(row.path)) for row in rows]
    return made


@contextmanager
def node_of(folder: Path, values: dict[str, Any]) -> Iterator[Node]:
    """Put the parts of a node together in this process; nothing is connected."""
    node = Node.of(load_config(write_config(folder, **values)))
    try:
        yield node
    finally:
        node.close()


def rerun_work(node: Node) -> results.Work:
    """Build the results of a radiograph, and return the re-run of that job: all were stored."""
    first = results.Work(1, "", MODALITY, STUDY, {}, Known())
    outputs = results.build(node, first, a_source(), PICTURE, a_finding())
    before = {output.kind: _predecessor(output) for output in outputs}
    return results.Work(2, "", MODALITY, STUDY, before, Known())


def _predecessor(output: OutputRow) -> results.Predecessor:
    """Return a result as its re-run knows it."""
    return results.Predecessor(
        output=output,
        version=results.version_key(WEIGHTS),
        study_instance_uid=STUDY,
        last_number=output.instance_number,
        was_stored=True,
    )
