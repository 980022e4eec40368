"""The parametric map, read back and put before the validators that others use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pydicom
import pytest
from pydicom.uid import ParametricMapStorage

from dicom_node.parametric_map import build_parametric_map
from tests.samples import INSTANCE, STUDY, a_dx_source, a_finding, a_source, an_identity, written
from tests.validators import MAP_ACCEPTED, dcentvfy, dciodvfy

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom.dataset import Dataset

pytestmark = pytest.mark.usefixtures("strict_writing")


def a_map(source: Dataset | None = None) -> Dataset:
    """Return the map of an ordinary finding."""
    return build_parametric_map(source or a_source(), a_finding(), an_identity())


def test_it_holds_the_heatmap_as_numbers(tmp_path: Path) -> None:
    read = pydicom.dcmread(written(a_map(), tmp_path / "pm.dcm"))

    assert read.SOPClassUID == ParametricMapStorage
    assert read.StudyInstanceUID == STUDY
    values = np.frombuffer(read.FloatPixelData, "<f4").reshape(read.Rows, read.Columns)
    assert values.shape == (32, 24)
    assert values.min() >= 0
    row, column = np.unravel_index(values.argmax(), values.shape)
    assert row / 32 == pytest.approx(0.72, abs=0.05)
    assert column / 24 == pytest.approx(0.45, abs=0.05)
    (shared,) = read.SharedFunctionalGroupsSequence
    (mapping,) = shared.RealWorldValueMappingSequence
    quantity = mapping.QuantityDefinitionSequence[0].ConceptCodeSequence[0]
    assert quantity.CodeValue == "130403"
    source = shared.DerivationImageSequence[0].SourceImageSequence[0]
    assert source.ReferencedSOPInstanceUID == INSTANCE


def test_a_smaller_grid_covers_the_whole_source() -> None:
    result = a_map(a_source(Rows=2048, Columns=1024, ImagerPixelSpacing=["0.2", "0.1"]))

    assert (result.Rows, result.Columns) == (512, 256)
    (shared,) = result.SharedFunctionalGroupsSequence
    assert shared.PixelMeasuresSequence[0].PixelSpacing == pytest.approx([0.8, 0.4])
    (frame,) = result.PerFrameFunctionalGroupsSequence
    position = frame.PlanePositionSequence[0].ImagePositionPatient
    assert position == pytest.approx([0.15, 0.3, 0])


@pytest.mark.parametrize(
    "source", [a_source(), a_dx_source(), a_source(leave_out=("ImagerPixelSpacing", "Laterality"))]
)
def test_a_map_of_any_source_is_valid(source: Dataset, tmp_path: Path) -> None:
    path = written(a_map(source), tmp_path / "pm.dcm")

    assert dciodvfy(path, MAP_ACCEPTED) == []
    assert dcentvfy(written(source, tmp_path / "source.dcm"), path) == []


def test_an_unknown_spacing_is_said_to_be_nominal() -> None:
    assert "1 mm" in a_map(a_source(leave_out=("ImagerPixelSpacing",))).ImageComments
    assert "1 mm" not in a_map().ImageComments


@pytest.mark.parametrize("spacing", [[0.15, ""], [0, 0], [0.15, -0.15]])
def test_a_spacing_that_cannot_be_is_unknown(spacing: list[float | str]) -> None:
    assert "1 mm" in a_map(a_source(ImagerPixelSpacing=spacing)).ImageComments


def test_the_same_values_make_the_same_bytes(tmp_path: Path) -> None:
    identity = an_identity()
    first, second = (
        written(
            build_parametric_map(a_source(), a_finding(), identity), tmp_path / f"{n}.dcm"
        ).read_bytes()
        for n in (1, 2)
    )

    assert first == second


def test_without_a_heatmap_there_is_no_map() -> None:
    finding = a_finding(heatmap=np.zeros((0, 0), dtype=np.float32))

    with pytest.raises(ValueError, match="no heatmap"):
        build_parametric_map(a_source(), finding, an_identity())
