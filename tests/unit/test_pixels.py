"""The grey scale of a picture: every part of the header that shapes it, sound or broken."""

from __future__ import annotations

import math
import struct
from typing import Any, Literal

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless

from dicom_node.errors import NodeError, PixelsError
from dicom_node.pixels import Rendering, read_picture_pixels, render
from dicom_node.radiograph import wrap_radiograph

Array = np.ndarray[Any, Any]

RAMP = np.arange(0, 4096, 5, dtype=np.uint16).reshape(-1, 10)[:80]
"""800 values of 12 bits."""

SHARED = np.linspace(0, 1, RAMP.size).reshape(RAMP.shape)
"""What the ramp looks like over its full range."""


def image(stored: Array, *, bits_stored: int | None = None, **attributes: Any) -> FileDataset:  # noqa: ANN401
    """Return a CR image with exactly these stored values, and no more than these attributes."""
    dataset = wrap_radiograph(np.eye(2), modality="CR", voi="none")
    bits = 8 * stored.dtype.itemsize
    dataset.Rows, dataset.Columns = stored.shape
    dataset.BitsAllocated = bits
    dataset.BitsStored = bits_stored or bits
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    dataset.PixelData = stored.tobytes() + b"\x00" * (stored.nbytes % 2)
    dataset["PixelData"].VR = "OW" if bits > 8 else "OB"
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    return dataset


def set_raw(dataset: Dataset, keyword: str, value: bytes, vr: str | None = None) -> None:
    """Set an attribute as it comes from a file: bytes that nobody has looked at."""
    tag = Tag(keyword)
    vr = vr or dictionary_VR(keyword)
    raw = RawDataElement(tag, vr, len(value), value, 0, False, True)  # noqa: FBT003
    dataset[tag] = raw


def table(first: int, data: object, *, entries: int | None = None, bits: int = 16) -> Dataset:
    """Return a look-up table's item."""
    item = Dataset()
    count = len(data) if entries is None else entries  # type: ignore[arg-type]
    item.LUTDescriptor = [count, first, bits]
    item.add_new("LUTData", "OW" if isinstance(data, bytes) else "US", data)
    return item


def shown(stored: Array, **attributes: object) -> Array:
    """Return what an image shows when its header can be followed."""
    rendering = render(image(stored, bits_stored=None, **attributes))
    assert rendering.notes == ()
    return rendering.pixels


# --- windows -------------------------------------------------------------------------------------


def displayed(value: float, center: float, width: float, function: str) -> float:
    """Return one value through a window, word by word as in PS3.3 C.11.2.1.2 and C.11.2.1.3."""
    if function == "SIGMOID":
        return 1 / (1 + math.exp(-4 * (value - center) / width))
    exact = function == "LINEAR_EXACT"
    half = width / 2 if exact else (width - 1) / 2
    middle = center if exact else center - 0.5
    if value <= middle - half:
        return 0.0
    if value > middle + half:
        return 1.0
    return (value - middle) / (width if exact else width - 1) + 0.5


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(
    ("center", "width"), [(2048, 4096), (1000.5, 700.25), (3000, 100), (100, 4000)]
)
def test_window_follows_the_standard(function: str, center: float, width: float) -> None:
    picture = shown(RAMP, WindowCenter=center, WindowWidth=width, VOILUTFunction=function)
    expected = [[displayed(v, center, width, function) for v in row] for row in RAMP.tolist()]
    np.testing.assert_allclose(picture, expected, rtol=0, atol=1e-6)


def test_window_without_a_function_is_linear() -> None:
    window = {"WindowCenter": 1000, "WindowWidth": 100}
    linear = shown(RAMP, **window, VOILUTFunction="LINEAR")
    np.testing.assert_array_equal(shown(RAMP, **window), linear)
    assert not np.array_equal(shown(RAMP, **window, VOILUTFunction="LINEAR_EXACT"), linear)


def test_full_window_of_12_bits_is_the_identity() -> None:
    """PS3.3 C.11.2.1.2.1, first example: centre 2048, width 4096."""
    picture = shown(RAMP, WindowCenter=2048, WindowWidth=4096)
    np.testing.assert_allclose(picture, RAMP / 4095, rtol=0, atol=1e-7)


def test_first_of_several_windows_is_shown() -> None:
    several = shown(RAMP, WindowCenter=[1000, 3000], WindowWidth=[500, 90])
    np.testing.assert_array_equal(several, shown(RAMP, WindowCenter=1000, WindowWidth=500))


def test_window_applies_to_modality_values() -> None:
    stored = shown(RAMP, WindowCenter=1000, WindowWidth=501)
    scaled = shown(
        RAMP, WindowCenter=1999.5, WindowWidth=1001, RescaleSlope=2, RescaleIntercept="0"
    )
    np.testing.assert_allclose(scaled, stored, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("center", "width"),
    [
        (b"2048", b"0"),
        (b"2048", b"-100"),
        (b"2048", b"1"),
        (b"2048", b"0.5"),
        (b"-90000", b"100"),
        (b"90000", b"100"),
        (b"2048", b"1e-300"),
        (b"1e300", b"1e299"),
        (b"2048", b"2e6"),
    ],
)
@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_useless_window_is_passed_over_and_said(center: bytes, width: bytes, function: str) -> None:
    dataset = image(RAMP, VOILUTFunction=function)
    set_raw(dataset, "WindowCenter", center)
    set_raw(dataset, "WindowWidth", width)
    rendering = render(dataset)
    np.testing.assert_allclose(rendering.pixels, SHARED, rtol=0, atol=1e-6)
    assert len(rendering.notes) == 1
    assert "window" in rendering.notes[0]


@pytest.mark.parametrize("width", [b"", b"wide", b"nan", b"inf", b"1e999", b"\xff\xfe"])
def test_window_that_is_no_number_is_none(width: bytes) -> None:
    dataset = image(RAMP)
    set_raw(dataset, "WindowCenter", b"2048")
    set_raw(dataset, "WindowWidth", width)
    np.testing.assert_allclose(read_picture_pixels(dataset), SHARED, rtol=0, atol=1e-6)


def test_window_that_shows_one_in_two_hundred_is_passed_over() -> None:
    """Four of 800 values are grey: less than 1 %. Twelve are enough."""
    rendering = render(image(RAMP, WindowCenter=1000, WindowWidth=20))
    np.testing.assert_allclose(rendering.pixels, SHARED, rtol=0, atol=1e-6)
    assert rendering.notes == ("the window shows next to nothing: passed over",)
    assert render(image(RAMP, WindowCenter=1000, WindowWidth=60)).notes == ()


def test_unknown_function_is_taken_as_linear_and_said() -> None:
    rendering = render(image(RAMP, WindowCenter=1000, WindowWidth=500, VOILUTFunction="CUBIC"))
    np.testing.assert_array_equal(rendering.pixels, shown(RAMP, WindowCenter=1000, WindowWidth=500))
    assert rendering.notes == ("the VOI LUT function is unknown: taken as linear",)


def test_without_voi_the_range_of_values_is_shown() -> None:
    stored = RAMP // 8 + 700
    picture = shown(stored)
    low, high = int(stored.min()), int(stored.max())
    np.testing.assert_allclose(picture, (stored - low) / (high - low), rtol=0, atol=1e-6)


# --- look-up tables ------------------------------------------------------------------------------


def test_voi_table_is_followed_and_held_at_its_ends() -> None:
    stored = np.arange(0, 100, dtype=np.uint16).reshape(10, 10)
    data = [round(65535 * (n / 59) ** 2) for n in range(60)]
    picture = shown(stored, VOILUTSequence=[table(20, data)])
    expected = [data[min(max(v - 20, 0), 59)] / 65535 for v in stored.ravel().tolist()]
    np.testing.assert_allclose(picture.ravel(), expected, rtol=0, atol=1e-6)


def test_voi_table_comes_before_window() -> None:
    stored = np.arange(0, 100, dtype=np.uint16).reshape(10, 10)
    sequence = [table(0, list(range(0, 50000, 500)))]
    both = shown(stored, VOILUTSequence=sequence, WindowCenter=10, WindowWidth=10)
    np.testing.assert_array_equal(both, shown(stored, VOILUTSequence=sequence))


def test_table_without_contrast_gives_way_to_the_window() -> None:
    rendering = render(
        image(RAMP, VOILUTSequence=[table(0, [7] * 4096)], WindowCenter=1000, WindowWidth=500)
    )
    np.testing.assert_array_equal(rendering.pixels, shown(RAMP, WindowCenter=1000, WindowWidth=500))
    assert rendering.notes == ("the VOI LUT shows next to nothing: passed over",)


@pytest.mark.parametrize("uid", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_table_of_bytes_packed_in_words(uid: UID) -> None:
    """PS3.3 C.11.1.1.1: entries of 8 bits may fill words; each word has its bytes swapped."""
    stored = np.arange(0, 100, dtype=np.uint8).reshape(10, 10)
    data = bytes(range(100, 200))
    order = "<u2" if uid == ImplicitVRLittleEndian else ">u2"
    packed = np.frombuffer(data, "<u2").astype(order).tobytes()
    dataset = image(stored, VOILUTSequence=[table(0, packed, entries=100, bits=8)])
    dataset.file_meta.TransferSyntaxUID = uid
    expected = (stored + 100.0) / 255
    np.testing.assert_allclose(render(dataset).pixels, expected, rtol=0, atol=1e-6)


def test_table_of_65536_entries_calls_itself_0() -> None:
    stored = np.arange(0, 65536, 7, dtype=np.uint16)[:9000].reshape(90, 100)
    data = np.arange(65535, -1, -1).astype("<u2").tobytes()
    picture = shown(stored, VOILUTSequence=[table(0, data, entries=0)])
    np.testing.assert_allclose(picture, 1 - stored / 65535.0, rtol=0, atol=1e-6)


def test_table_whose_number_of_entries_was_read_as_signed() -> None:
    stored = np.arange(0, 40000, 4, dtype=np.uint16).reshape(100, 100)
    item = table(0, np.arange(40000).astype("<u2").tobytes(), entries=1)
    set_raw(item, "LUTDescriptor", struct.pack("<hhh", 40000 - 65536, 0, 16), "SS")
    picture = shown(stored, VOILUTSequence=[item])
    np.testing.assert_allclose(picture, stored / 65535.0, rtol=0, atol=1e-6)


def test_table_deeper_than_it_says_is_not_cut() -> None:
    stored = np.arange(0, 100, dtype=np.uint16).reshape(10, 10)
    picture = shown(stored, VOILUTSequence=[table(0, list(range(0, 4100, 41)), bits=8)])
    np.testing.assert_allclose(picture, stored / 99, rtol=0, atol=1e-6)


def test_voi_table_applies_to_modality_values() -> None:
    """As pydicom's own function does not: a rescaling leaves fractions."""
    stored = np.arange(0, 100, dtype=np.uint16).reshape(10, 10)
    picture = shown(
        stored,
        RescaleSlope=0.5,
        RescaleIntercept=100,
        VOILUTSequence=[table(100, list(range(0, 50000, 1000)))],
    )
    expected = np.clip(np.rint(stored * 0.5), 0, 49) * 1000 / 65535
    np.testing.assert_allclose(picture, expected, rtol=0, atol=1e-6)


def test_modality_table_comes_before_rescaling() -> None:
    """And a signed value minus a negative first value does not overflow."""
    stored = np.linspace(-32768, 32767, 900).astype(np.int16).reshape(30, 30)
    item = table(0, np.arange(65536).astype("<u2").tobytes(), entries=0)
    set_raw(item, "LUTDescriptor", struct.pack("<hhh", 0, -32768, 16), "SS")
    picture = shown(stored, ModalityLUTSequence=[item], RescaleSlope=-1, RescaleIntercept=0)
    np.testing.assert_allclose(picture, (stored + 32768.0) / 65535, rtol=0, atol=1e-6)


@pytest.mark.parametrize("keyword", ["ModalityLUTSequence", "VOILUTSequence"])
@pytest.mark.parametrize(
    "item",
    [
        Dataset(),
        table(0, b"", entries=10),
        table(0, b"\x01", entries=10),
    ],
    ids=["empty", "no-data", "one-byte"],
)
def test_unreadable_table_is_passed_over_and_said(keyword: str, item: Dataset) -> None:
    dataset = image(RAMP)
    setattr(dataset, keyword, [item])
    rendering = render(dataset)
    np.testing.assert_allclose(rendering.pixels, SHARED, rtol=0, atol=1e-6)
    assert rendering.notes == ("a look-up table cannot be read: passed over",)


def test_sequence_that_is_none_is_passed_over() -> None:
    dataset = image(RAMP)
    set_raw(dataset, "VOILUTSequence", b"not a sequence", "UN")
    np.testing.assert_allclose(render(dataset).pixels, SHARED, rtol=0, atol=1e-6)


# --- modality values -----------------------------------------------------------------------------


def test_negative_slope_turns_the_order() -> None:
    picture = shown(RAMP, RescaleSlope=-2, RescaleIntercept=10)
    np.testing.assert_allclose(picture, 1 - SHARED, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("slope", "intercept"), [(b"0", b"0"), (b"1e-30", b"1e30"), (b"1e308", b"0")]
)
def test_rescaling_without_contrast_is_passed_over_and_said(slope: bytes, intercept: bytes) -> None:
    dataset = image(RAMP)
    set_raw(dataset, "RescaleSlope", slope)
    set_raw(dataset, "RescaleIntercept", intercept)
    rendering = render(dataset)
    np.testing.assert_allclose(rendering.pixels, SHARED, rtol=0, atol=1e-6)
    assert rendering.notes == ("the rescale slope leaves no contrast: the stored values are shown",)


# --- stored values -------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_depth_is_read_from_the_header(bits: int) -> None:
    """A fixed divisor would show all but one depth too dark."""
    top = 2**bits - 1
    stored = np.linspace(0, top, 400).astype(np.uint16).reshape(20, 20)
    dataset = image(stored, bits_stored=bits)
    dataset.WindowCenter, dataset.WindowWidth = (top + 1) / 2, top + 1
    np.testing.assert_allclose(render(dataset).pixels, stored / top, rtol=0, atol=1e-6)


def test_bits_above_the_stored_ones_are_ignored() -> None:
    """Old overlays lie there (PS3.5 8.1.2)."""
    stored = RAMP | np.uint16(0xA000)
    np.testing.assert_allclose(
        render(image(stored, bits_stored=12)).pixels, SHARED, rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("compressed", [False, True])
def test_bits_below_the_stored_ones_are_ignored(compressed: bool) -> None:
    stored = (RAMP << np.uint16(3)) | np.uint16(0x8005)
    dataset = image(stored, bits_stored=12, HighBit=14)
    dataset.WindowCenter, dataset.WindowWidth = 2048, 4096
    if compressed:
        dataset.compress(RLELossless, generate_instance_uid=False)
    np.testing.assert_allclose(render(dataset).pixels, RAMP / 4095, rtol=0, atol=1e-6)


def test_signed_values() -> None:
    stored = (RAMP.astype(np.int16) - 2048) & np.int16(0x0FFF)
    picture = render(image(stored, bits_stored=12, WindowCenter=0, WindowWidth=4096)).pixels
    np.testing.assert_allclose(picture, RAMP / 4095, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", [np.uint32, np.int32, np.uint8])
def test_other_sizes_of_cells(kind: type[np.generic]) -> None:
    stored = np.linspace(0, 255, 400).astype(kind).reshape(20, 20)
    np.testing.assert_allclose(shown(stored), stored / 255.0, rtol=0, atol=1e-6)


def test_single_bits() -> None:
    bits = np.tile([0, 0, 1, 1, 0, 1, 0, 1], (8, 1))
    dataset = image(np.zeros((8, 8), dtype=np.uint8), BitsAllocated=1, BitsStored=1, HighBit=0)
    dataset.PixelData = np.packbits(bits, bitorder="little").tobytes()
    np.testing.assert_array_equal(render(dataset).pixels, bits)


def test_odd_number_of_bytes() -> None:
    stored = np.arange(15, dtype=np.uint8).reshape(3, 5)
    np.testing.assert_allclose(shown(stored), stored / 14, rtol=0, atol=1e-6)


# --- padding -------------------------------------------------------------------------------------


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_does_not_widen_the_range(photometric: str) -> None:
    stored = RAMP // 4 + 1000
    framed = stored.copy()
    framed[:10] = 4095
    options = {"PhotometricInterpretation": photometric}
    picture = shown(framed, PixelPaddingValue=4095, **options)
    assert (picture[:10] == 0).all()
    np.testing.assert_array_equal(picture[10:], shown(stored[10:], **options))


def test_range_of_padding_holds_both_ends_in_either_order() -> None:
    stored = RAMP.copy()
    for ends in ((100, 300), (300, 100)):
        picture = shown(stored, PixelPaddingValue=ends[0], PixelPaddingRangeLimit=ends[1])
        inside = (stored >= 100) & (stored <= 300)
        assert (picture[inside] == 0).all()
        assert (picture[stored > 300] > 0).all()


def test_limit_without_a_value_is_nothing() -> None:
    np.testing.assert_array_equal(shown(RAMP, PixelPaddingRangeLimit=100), shown(RAMP))


def test_padding_of_the_other_sign_is_recognised() -> None:
    signed = RAMP.astype(np.int16) - 2000
    signed[0] = -32768
    dataset = image(signed)
    dataset.add_new("PixelPaddingValue", "US", 32768)
    assert (render(dataset).pixels[0] == 0).all()
    assert render(dataset).pixels[1, 0] == pytest.approx(0.0, abs=0.01)
    unsigned = RAMP.copy()
    unsigned[0] = 65535
    dataset = image(unsigned)
    dataset.add_new("PixelPaddingValue", "SS", -1)
    assert (render(dataset).pixels[0] == 0).all()


def test_padding_that_no_pixel_can_have_is_nothing() -> None:
    stored = np.linspace(0, 255, 400).astype(np.uint8).reshape(20, 20)
    np.testing.assert_array_equal(shown(stored, PixelPaddingValue=65535), shown(stored))


def test_nothing_but_padding_is_refused() -> None:
    with pytest.raises(PixelsError, match="padding"):
        read_picture_pixels(image(RAMP, PixelPaddingValue=0, PixelPaddingRangeLimit=4095))


# --- polarity ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("photometric", "shape", "inverse", "contradiction"),
    [
        ("MONOCHROME1", None, True, False),
        ("MONOCHROME1", "INVERSE", True, False),
        ("MONOCHROME1", "IDENTITY", False, True),
        ("MONOCHROME1", "LIN OD", True, False),
        ("MONOCHROME2", None, False, False),
        ("MONOCHROME2", "IDENTITY", False, False),
        ("MONOCHROME2", "INVERSE", True, True),
    ],
)
def test_image_is_inverted_once(
    photometric: str,
    shape: str | None,
    inverse: bool,
    contradiction: bool,
) -> None:
    dataset = image(RAMP, PhotometricInterpretation=photometric)
    if shape:
        dataset.PresentationLUTShape = shape
    rendering = render(dataset)
    np.testing.assert_allclose(
        rendering.pixels, 1 - SHARED if inverse else SHARED, rtol=0, atol=1e-6
    )
    assert bool(rendering.notes) == contradiction


@pytest.mark.parametrize("modality", ["CR", "DX"])
@pytest.mark.parametrize("voi", ["window", "lut", "none"])
def test_monochrome1_equals_its_counterpart(
    modality: Literal["CR", "DX"], voi: Literal["window", "lut", "none"]
) -> None:
    dark, bright = (
        read_picture_pixels(
            wrap_radiograph(SHARED, modality=modality, voi=voi, photometric=photometric)
        )
        for photometric in ("MONOCHROME1", "MONOCHROME2")
    )
    # The entries of the table are rounded to 16 bits.
    np.testing.assert_allclose(dark, bright, rtol=0, atol=1.01 / 65535)
    np.testing.assert_allclose(bright, SHARED, rtol=0, atol=0.5 / 4095 + 1 / 65535)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_image_for_processing_is_shown_over_its_range(
    photometric: Literal["MONOCHROME1", "MONOCHROME2"],
) -> None:
    dataset = wrap_radiograph(
        SHARED / 2 + 0.25, presentation="FOR PROCESSING", photometric=photometric
    )
    assert "WindowWidth" not in dataset
    np.testing.assert_allclose(read_picture_pixels(dataset), SHARED, rtol=0, atol=1e-3)


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"NumberOfFrames": 2}, "frames"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "photometric"),
        ({"PhotometricInterpretation": None}, "decoded"),
        ({"PhotometricInterpretation": "RGB"}, "photometric|decoded"),
        ({"PhotometricInterpretation": "HSV"}, "photometric"),
        ({"Rows": None}, "decoded"),
        ({"Columns": 0}, "decoded"),
        ({"BitsStored": 0}, "decoded"),
        ({"BitsStored": 17}, "decoded"),
        ({"BitsAllocated": 12}, "decoded"),
        ({"BitsAllocated": 24}, "decoded"),
        ({"SamplesPerPixel": 4}, "decoded"),
        ({"PixelRepresentation": 2}, "decoded"),
        ({"PixelData": None}, "decoded"),
        ({"Rows": 65535, "Columns": 65535}, "decoded"),
    ],
    ids=str,
)
def test_image_that_cannot_be_read_is_refused(attributes: dict[str, Any], words: str) -> None:
    dataset = image(RAMP, **attributes)
    with pytest.raises(PixelsError, match=words) as caught:
        read_picture_pixels(dataset)
    assert isinstance(caught.value, NodeError)


def test_absent_pixels_and_absent_syntax_are_refused() -> None:
    dataset = image(RAMP)
    del dataset.PixelData
    with pytest.raises(PixelsError, match="no pixel data"):
        read_picture_pixels(dataset)
    dataset = image(RAMP)
    del dataset.file_meta
    with pytest.raises(PixelsError, match="transfer syntax"):
        read_picture_pixels(dataset)
    with pytest.raises(PixelsError, match="no pixel data"):
        read_picture_pixels(Dataset())


def test_floating_point_pixels_are_refused() -> None:
    """They belong to parametric maps, not to radiographs."""
    dataset = image(RAMP)
    del dataset.PixelData
    dataset.FloatPixelData = RAMP.astype(np.float32).tobytes()
    dataset.BitsAllocated = 32
    with pytest.raises(PixelsError, match="no pixel data"):
        read_picture_pixels(dataset)


def test_image_without_contrast_is_refused() -> None:
    flat = np.full((20, 20), 100, dtype=np.uint16)
    with pytest.raises(PixelsError, match="no contrast"):
        read_picture_pixels(image(flat))
    dataset = image(flat)
    dataset.set_pixel_data(np.full((20, 20, 3), 7, np.uint8), "RGB", 8, generate_instance_uid=False)
    with pytest.raises(PixelsError, match="no contrast"):
        read_picture_pixels(dataset)


@pytest.mark.parametrize(
    "keyword", ["PhotometricInterpretation", "NumberOfFrames", "WindowWidth", "VOILUTFunction"]
)
def test_neither_error_nor_note_repeats_a_value(keyword: str) -> None:
    """An attribute in the wrong place may hold a name."""
    dataset = image(RAMP, WindowCenter=1000, WindowWidth=500)
    set_raw(dataset, keyword, b"Doe^Jane")
    try:
        told = " ".join(render(dataset).notes)
    except PixelsError as error:
        told = str(error)
    assert "doe" not in told.lower()


def test_data_set_is_left_as_it_was() -> None:
    dataset = image(RAMP, bits_stored=12, WindowCenter=1000, WindowWidth=500, PixelPaddingValue=0)
    before = dataset.to_json()
    read_picture_pixels(dataset)
    assert dataset.to_json() == before


# --- any header ----------------------------------------------------------------------------------

DECIMALS = st.one_of(
    st.floats(width=32).map(lambda x: f"{x:.6g}".encode()),
    st.integers(-70000, 70000).map(lambda n: str(n).encode()),
    st.sampled_from([b"", b"x", b"1\\2", b"\\", b"1e400", b"nan", b"-inf", b"\x00", b"0"]),
)
WORDS = st.binary(min_size=0, max_size=6)


@st.composite
def tables(draw: st.DrawFn) -> list[Dataset]:
    item = Dataset()
    if draw(st.booleans()):
        descriptor = draw(st.lists(st.integers(0, 65535), min_size=0, max_size=4))
        item.add_new("LUTDescriptor", "US", descriptor)
    if draw(st.booleans()):
        item.add_new("LUTData", "OW", draw(st.binary(max_size=600)))
    else:
        item.add_new("LUTData", "US", draw(st.lists(st.integers(0, 65535), max_size=60)))
    return [item]


HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "WindowCenter": DECIMALS,
        "WindowWidth": DECIMALS,
        "RescaleSlope": DECIMALS,
        "RescaleIntercept": DECIMALS,
        "PixelPaddingValue": WORDS,
        "PixelPaddingRangeLimit": WORDS,
        "VOILUTFunction": st.sampled_from(
            [b"LINEAR", b"LINEAR_EXACT", b"SIGMOID", b"sigmoid ", b"?"]
        ),
        "PresentationLUTShape": st.sampled_from([b"IDENTITY", b"INVERSE ", b"inverse", b"?"]),
        "NumberOfFrames": st.sampled_from([b"", b"1", b"0", b"2", b"-1", b"x"]),
        "HighBit": WORDS,
        "BitsStored": st.integers(0, 40).map(lambda n: n.to_bytes(2, "little")),
        "VOILUTSequence": tables(),
        "ModalityLUTSequence": tables(),
    },
)

STORED = st.sampled_from([np.uint8, np.int8, np.uint16, np.int16, np.uint32]).flatmap(
    lambda kind: hnp.arrays(kind, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12))
)


@settings(max_examples=400, deadline=None)
@given(stored=STORED, header=HEADERS, photometric=st.sampled_from(["MONOCHROME1", "MONOCHROME2"]))
def test_any_header_gives_a_picture_or_a_refusal(
    stored: Array, header: dict[str, Any], photometric: str
) -> None:
    dataset = image(stored, PhotometricInterpretation=photometric)
    for keyword, value in header.items():
        if isinstance(value, bytes):
            set_raw(dataset, keyword, value)
        else:
            setattr(dataset, keyword, value)
    try:
        rendering = render(dataset)
    except PixelsError:
        return
    check_picture(rendering, stored.shape)


def check_picture(rendering: Rendering, shape: tuple[int, ...]) -> None:
    assert rendering.pixels.dtype == np.float32
    assert rendering.pixels.shape == shape
    assert np.isfinite(rendering.pixels).all()
    assert rendering.pixels.min() >= 0
    assert rendering.pixels.max() <= 1


@settings(max_examples=200, deadline=None)
@given(
    stored=hnp.arrays(np.uint16, (6, 7)).filter(lambda pixels: np.ptp(pixels) > 0),
    center=st.floats(-1e5, 1e5),
    width=st.floats(-10, 1e5),
    slope=st.floats(-10, 10),
)
def test_contrast_is_never_lost_to_the_header(
    stored: Array, center: float, width: float, slope: float
) -> None:
    """Where the pixels differ and nothing is padding, the picture differs too."""
    dataset = image(stored)
    attributes = {"WindowCenter": center, "WindowWidth": width, "RescaleSlope": slope}
    for keyword, value in attributes.items():
        set_raw(dataset, keyword, f"{value:.8g}".encode())
    assert np.ptp(read_picture_pixels(dataset)) > 0


def test_explicit_and_read_back_are_the_same(tmp_path: Any) -> None:  # noqa: ANN401
    """Attributes of ambiguous VR come out of an implicit file as they went in."""
    dataset = wrap_radiograph(SHARED, modality="CR", voi="lut", modality_lut=True)
    path = tmp_path / "implicit.dcm"
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    dataset.save_as(path, enforce_file_format=True)
    again = read_picture_pixels(pydicom.dcmread(path))
    np.testing.assert_array_equal(again, read_picture_pixels(dataset))
