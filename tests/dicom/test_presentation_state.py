"""The presentation state, read back and put before the validators that others use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import GrayscaleSoftcopyPresentationStateStorage

from dicom_node import vocabulary as v
from dicom_node.hand_box import HandBox
from dicom_node.presentation_state import build_presentation_state
from dicom_node.radiograph import wrap_radiograph
from dicom_node.report_text import headline
from tests.samples import (
    INSTANCE,
    SERIES,
    STUDY,
    a_dx_source,
    a_finding,
    a_source,
    an_identity,
    written,
)
from tests.validators import dcentvfy, dciodvfy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydicom.dataset import Dataset

pytestmark = pytest.mark.usefixtures("strict_writing")

BOX = HandBox(2.0, 8.0, 20.0, 30.5)
PICTURE = np.linspace(0, 1, 32 * 24, dtype=np.float32).reshape(32, 24)


def a_state(source: Dataset | None = None, box: HandBox = BOX) -> Dataset:
    """Return the presentation state of an ordinary finding."""
    return build_presentation_state(source or a_source(), a_finding(), an_identity(), hand_box=box)


def a_radiograph(**options: Any) -> Dataset:  # noqa: ANN401 - those of wrap_radiograph
    """Return a radiograph with the pixels and gray levels that the options ask for."""
    return wrap_radiograph(PICTURE, sex="F", age_months=119.5, **options)


def test_it_shows_box_and_words_on_the_source(tmp_path: Path) -> None:
    read = pydicom.dcmread(written(a_state(), tmp_path / "pr.dcm"))

    assert read.SOPClassUID == GrayscaleSoftcopyPresentationStateStorage
    assert (read.Modality, read.StudyInstanceUID) == ("PR", STUDY)
    assert read.PatientName == "Doe^Jane"
    assert read.SeriesDescription == v.PR_SERIES_DESCRIPTION
    (series,) = read.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == SERIES
    (annotation,) = read.GraphicAnnotationSequence
    assert annotation.ReferencedImageSequence[0].ReferencedSOPInstanceUID == INSTANCE
    (box,), (words,) = annotation.GraphicObjectSequence, annotation.TextObjectSequence
    assert (box.GraphicType, box.GraphicAnnotationUnits) == ("POLYLINE", "PIXEL")
    assert np.array_equal(np.reshape(box.GraphicData, (5, 2)), BOX.outline())
    assert headline(a_finding()) in words.UnformattedTextValue
    assert v.RESEARCH_USE in words.UnformattedTextValue


@pytest.mark.parametrize(
    ("box", "top", "bottom"),
    [
        (HandBox(2, 8, 20, 30), 0, 8),
        (HandBox(2, 1, 20, 20), 20, 32),
        (HandBox(0, 0, 24, 32), 0, 32 / 12),
    ],
    ids=["above", "below", "over a hand that fills the frame"],
)
def test_the_words_stand_where_there_is_room(box: HandBox, top: float, bottom: float) -> None:
    (words,) = a_state(box=box).GraphicAnnotationSequence[0].TextObjectSequence

    assert words.BoundingBoxTopLeftHandCorner == [0, top]
    assert words.BoundingBoxBottomRightHandCorner == pytest.approx([24, bottom])


@pytest.mark.parametrize(
    ("photometric", "shape"), [("MONOCHROME1", "INVERSE"), ("MONOCHROME2", "IDENTITY")]
)
def test_the_polarity_is_that_of_the_source(photometric: str, shape: str) -> None:
    assert a_state(a_source(PhotometricInterpretation=photometric)).PresentationLUTShape == shape


def test_a_window_is_that_of_the_source() -> None:
    source = a_source(WindowCenter=["2048", "1"], WindowWidth=["4096", "2"])

    (voi,) = a_state(source).SoftcopyVOILUTSequence

    assert (voi.WindowCenter, voi.WindowWidth) == (2048, 4096)
    assert "VOILUTFunction" not in voi


def test_a_sigmoid_stays_a_sigmoid() -> None:
    source = a_source(WindowCenter="10", WindowWidth="1", VOILUTFunction="SIGMOID")

    assert a_state(source).SoftcopyVOILUTSequence[0].VOILUTFunction == "SIGMOID"


def test_look_up_tables_are_those_of_the_source() -> None:
    source = a_radiograph(modality="CR", voi="lut", modality_lut=True)
    state = a_state(source)

    for own, theirs in (
        (state.SoftcopyVOILUTSequence[0].VOILUTSequence[0], source.VOILUTSequence[0]),
        (state.ModalityLUTSequence[0], source.ModalityLUTSequence[0]),
    ):
        assert list(own.LUTDescriptor) == list(theirs.LUTDescriptor)
        assert own.LUTData == theirs.LUTData


def test_a_rescaling_is_that_of_the_source() -> None:
    state = a_state(a_source(RescaleSlope="0.5", RescaleIntercept="-10", RescaleType="US"))

    assert (state.RescaleSlope, state.RescaleIntercept) == (0.5, -10)


def test_without_gray_levels_in_the_source_there_are_none() -> None:
    state = a_state(a_source(WindowCenter="5", WindowWidth="0"))

    assert "SoftcopyVOILUTSequence" not in state
    assert "RescaleSlope" not in state


SOURCES: dict[str, Callable[[], Dataset]] = {
    "whole CR": a_source,
    "DX": lambda: a_dx_source(WindowCenter="2048", WindowWidth="4096"),
    "MONOCHROME1 with a VOI LUT": lambda: a_radiograph(photometric="MONOCHROME1", voi="lut"),
    "modality LUT": lambda: a_radiograph(modality="CR", modality_lut=True),
    "rescaled": lambda: a_radiograph(modality="CR", rescale=(2.0, -100.0)),
    "nothing of type 2": lambda: a_source(
        leave_out=(
            *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate"),
            *("StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName", "Manufacturer"),
            *("PatientOrientation", "ImagerPixelSpacing", "SpecificCharacterSet", "Laterality"),
            *("SamplesPerPixel", "PhotometricInterpretation"),
        )
    ),
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_state_of_any_source_is_valid(name: str, tmp_path: Path) -> None:
    path = written(a_state(SOURCES[name]()), tmp_path / "pr.dcm")

    assert dciodvfy(path) == []


def test_state_and_source_are_one_study(tmp_path: Path) -> None:
    source = a_source()

    assert (
        dcentvfy(
            written(source, tmp_path / "source.dcm"), written(a_state(source), tmp_path / "pr.dcm")
        )
        == []
    )


def test_the_same_values_make_the_same_bytes(tmp_path: Path) -> None:
    identity = an_identity()
    first, second = (
        written(
            build_presentation_state(a_source(), a_finding(), identity, hand_box=BOX),
            tmp_path / f"{n}.dcm",
        ).read_bytes()
        for n in (1, 2)
    )

    assert first == second


def test_a_colour_image_is_refused() -> None:
    with pytest.raises(ValueError, match="colour"):
        a_state(a_source(SamplesPerPixel=3, PhotometricInterpretation="RGB"))


def test_a_source_without_a_size_is_refused() -> None:
    with pytest.raises(AttributeError, match="Rows"):
        a_state(a_source(leave_out=("Rows",)))
