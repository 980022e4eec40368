"""The phantom's study: drawn, read by a running node, kept by an Orthanc."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dicom_node.radiograph import wrap_radiograph
from models.phantom import draw_phantom
from tests.nodes import destination, running_node
from tests.peers import Dcmtk

if TYPE_CHECKING:
    from pathlib import Path

    from tests.peers import Orthanc

SEX, AGE_MONTHS = "F", 126.0


@dataclass(frozen=True, slots=True)
class PhantomStudy:
    """The phantom's study.

    Attributes
    ----------
    orthanc : Orthanc
        Which holds it.
    radiograph, report, capture : Path
        Its three files: the source, the SR and the SC.
    study_instance_uid : str
        Its UID.
    finding : dict
        What the node found, from its database.
    """

    orthanc: Orthanc
    radiograph: Path
    report: Path
    capture: Path
    study_instance_uid: str
    finding: dict[str, Any]


def make_study(folder: Path, orthanc: Orthanc) -> PhantomStudy:
    """Store a phantom in Orthanc and send it to a node whose results go there too."""
    source = wrap_radiograph(
        draw_phantom(SEX, AGE_MONTHS) / np.float32(4095),
        sex=SEX,
        age_months=AGE_MONTHS,
        study_description="SYNTHETIC phantom, bone age",
    )
    radiograph = folder / "radiograph.dcm"
    source.save_as(radiograph, enforce_file_format=True)
    orthanc.upload(radiograph)
    pacs = destination("PACS", orthanc.ae_title, orthanc.port)
    with running_node(folder, Dcmtk(folder), destinations=[pacs]) as node:
        node.store([radiograph])
        (job,) = node.wait_for("sent", 1)
        shown = node.show(job["id"])
        results = {
            output["kind"]: node.config.data_directory / output["file"]
            for output in shown["outputs"]
        }
    return PhantomStudy(
        orthanc=orthanc,
        radiograph=radiograph,
        report=results["sr"],
        capture=results["sc"],
        study_instance_uid=str(source.StudyInstanceUID),
        finding=shown["finding"],
    )
