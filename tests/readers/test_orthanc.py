"""Orthanc holds the study: the radiograph, and under it the results, each in its series."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pydicom

from dicom_node import vocabulary as v

if TYPE_CHECKING:
    from tests.readers.study import PhantomStudy


def test_the_results_are_series_of_the_one_study(study: PhantomStudy) -> None:
    (identifier,) = study.orthanc.studies()
    series = {
        tags["Modality"]: (tags.get("SeriesNumber"), tags.get("SeriesDescription"))
        for tags in (
            one["MainDicomTags"] for one in study.orthanc.get(f"/studies/{identifier}/series")
        )
    }
    assert series == {
        "DX": ("1", None),
        "OT": ("9101", v.SC_SERIES_DESCRIPTION),
        "SR": ("9102", v.SR_SERIES_DESCRIPTION),
    }


def test_dicomweb_finds_and_returns_the_report(study: PhantomStudy) -> None:
    root = f"/dicom-web/studies/{study.study_instance_uid}"
    found = study.orthanc.get(f"{root}/instances?Modality=SR")
    uid = pydicom.dcmread(study.report).SOPInstanceUID
    assert [item["00080018"]["Value"] for item in found] == [[uid]]
    (series,) = found[0]["0020000E"]["Value"]
    (metadata,) = study.orthanc.get(f"{root}/series/{series}/instances/{uid}/metadata")
    again = pydicom.Dataset.from_json(metadata)
    assert again.ContentSequence == pydicom.dcmread(study.report).ContentSequence
