"""The rejection note, read back and put before the validators that others use."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from pydicom.uid import Comprehensive3DSRStorage, SecondaryCaptureImageStorage

from dicom_node import vocabulary as v
from dicom_node.identity import ReferencedInstance
from dicom_node.rejection_note import build_rejection_note
from tests.samples import STARTED, STUDY, a_source, an_identity, read_back
from tests.validators import dciodvfy, dsrdump

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.sr.coding import Code

pytestmark = pytest.mark.usefixtures("strict_writing")

REPORT = ReferencedInstance(
    sop_class_uid=Comprehensive3DSRStorage,
    sop_instance_uid="1.2.3.9.9",
    series_instance_uid="1.2.3.9",
    study_instance_uid=STUDY,
)
CAPTURE = replace(
    REPORT,
    sop_class_uid=SecondaryCaptureImageStorage,
    sop_instance_uid="1.2.3.8.9",
    series_instance_uid="1.2.3.8",
)


@pytest.mark.parametrize("title", v.REJECTIONS)
def test_it_names_what_it_rejects(title: Code, tmp_path: Path) -> None:
    note = build_rejection_note(
        a_source(), [REPORT, CAPTURE], an_identity(), written_at=STARTED, title=title
    )
    read = read_back(note, tmp_path / "ko.dcm")

    assert read.Modality == "KO"
    assert read.ConceptNameCodeSequence[0].CodeValue == title.value
    (study,) = read.CurrentRequestedProcedureEvidenceSequence
    assert study.StudyInstanceUID == STUDY
    named = {
        series.SeriesInstanceUID: series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for series in study.ReferencedSeriesSequence
    }
    assert named == {"1.2.3.9": "1.2.3.9.9", "1.2.3.8": "1.2.3.8.9"}
    kinds = [item.ValueType for item in read.ContentSequence][-2:]
    assert kinds == ["COMPOSITE", "IMAGE"]
    assert dciodvfy(tmp_path / "ko.dcm") == []
    assert v.REPLACED in dsrdump(tmp_path / "ko.dcm")


def test_a_rejection_says_what_and_why_in_the_same_study() -> None:
    elsewhere = replace(REPORT, study_instance_uid="1.2.4")
    for rejected, title, words in (
        ([], v.REJECTED_FOR_QUALITY, "rejects something"),
        ([elsewhere], v.REJECTED_FOR_QUALITY, "in the study"),
        ([REPORT], v.COMMENT, "titled"),
    ):
        with pytest.raises(ValueError, match=words):
            build_rejection_note(
                a_source(), rejected, an_identity(), written_at=STARTED, title=title
            )
