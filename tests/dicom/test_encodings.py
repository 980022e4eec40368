"""Every transfer syntax that the node accepts, on real files, whole and damaged."""

from __future__ import annotations

import itertools
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.encaps import get_frame
from pydicom.uid import (
    UID,
    AllTransferSyntaxes,
    ExplicitVRLittleEndian,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGTransferSyntaxes,
    RLELossless,
)

from dicom_node.errors import PixelsError
from dicom_node.pixels import read_picture_pixels
from dicom_node.radiograph import wrap_radiograph
from dicom_node.transfer_syntaxes import NATIVE, decodable_transfer_syntaxes
from tests.encodings import ENCODINGS, LOSSLESS, LOSSY, Encoding, encode, set_frame

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom import Dataset

    from tests.peers import Dcmtk

BITS = (8, 10, 12, 14, 16)
SIDE_PX = 512
GREY_SCALES: tuple[dict[str, Any], ...] = (
    {"voi": "window"},
    {"voi": "lut"},
    {"voi": "none"},
    {"rescale": (2.0, -100.0)},
    {"modality_lut": True},
)
SELECTION_VALUES = {f"jpeg-sv{value}" for value in range(2, 8)}
"""Predictors of one codec: the gradient has every one of them."""

NAMES = {encoding.name: encoding for encoding in ENCODINGS}

every_encoding = pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda e: e.name)
every_depth = pytest.mark.parametrize("bits", BITS)


@pytest.fixture(scope="module")
def gradient() -> np.ndarray[Any, Any]:
    """Return a picture with every grey, black and white, and odd sides."""
    rows, columns = np.mgrid[0:91, 0:67]
    picture: np.ndarray[Any, Any] = (rows / 90 + columns / 66) / 2
    return picture


@pytest.fixture(scope="module")
def radiograph(shared_data: Path) -> np.ndarray[Any, Any]:
    """Return a real radiograph, made small."""
    with Image.open(shared_data / "radiographs" / "1744.png") as image:
        image.thumbnail((SIDE_PX, SIDE_PX))
        pixels: np.ndarray[Any, Any] = np.asarray(image)
        return pixels


def save(folder: Path, picture: np.ndarray[Any, Any], **options: Any) -> Path:  # noqa: ANN401
    """Write a picture as an uncompressed CR image."""
    path = folder / "source.dcm"
    wrap_radiograph(picture, modality="CR", **options).save_as(path, enforce_file_format=True)
    return path


def read(path: Path) -> np.ndarray[Any, Any]:
    return read_picture_pixels(pydicom.dcmread(path))


# --- what is accepted ----------------------------------------------------------------------------


def test_accepted_syntaxes_are_those_proven_here() -> None:
    assert set(decodable_transfer_syntaxes()) == {encoding.uid for encoding in ENCODINGS}
    assert len(decodable_transfer_syntaxes()) == len(set(decodable_transfer_syntaxes()))


@pytest.mark.parametrize(
    "uid", sorted({*AllTransferSyntaxes, UID("2.25.1")} - {e.uid for e in ENCODINGS})
)
def test_other_syntaxes_are_refused(gradient: np.ndarray[Any, Any], uid: str) -> None:
    dataset = wrap_radiograph(gradient)
    set_frame(dataset, UID(uid), b"\xff\xd8\xff\xd9")
    with pytest.raises(PixelsError, match="transfer syntax"):
        read_picture_pixels(dataset)


def test_syntaxes_go_with_their_codec() -> None:
    """Without imagecodecs the listener must not accept what no codec is left for."""
    program = (
        "import sys\n"
        "sys.modules['imagecodecs'] = None\n"
        "from dicom_node.transfer_syntaxes import decodable_transfer_syntaxes\n"
        "print(*decodable_transfer_syntaxes())\n"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout
    lost = {JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1}
    assert set(printed.split()) == set(decodable_transfer_syntaxes()) - lost


def test_listing_them_loads_no_codec() -> None:
    program = (
        "import sys\n"
        "from dicom_node.transfer_syntaxes import decodable_transfer_syntaxes\n"
        "decodable_transfer_syntaxes()\n"
        "print(*sys.modules)\n"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout
    assert {"imagecodecs", "torch", "highdicom"}.isdisjoint(printed.split())


# --- whole images --------------------------------------------------------------------------------


@every_depth
@every_encoding
def test_gradient_survives(
    tmp_path: Path, dcmtk: Dcmtk, gradient: np.ndarray[Any, Any], encoding: Encoding, bits: int
) -> None:
    """Each depth and grey scale; MONOCHROME1 and 2 change places from one to the next."""
    # DCMTK's lossy encoders stretch the stored values and correct the window, but not a LUT.
    variants = GREY_SCALES[:1] if encoding in LOSSY else GREY_SCALES
    for number, grey_scale in enumerate(variants, start=BITS.index(bits)):
        photometric = ("MONOCHROME1", "MONOCHROME2")[number % 2]
        options = {"bits_stored": bits, "photometric": photometric, **grey_scale}
        source = save(tmp_path, gradient, **options)
        encoded = encode(encoding, source, dcmtk)
        assert pydicom.dcmread(encoded).file_meta.TransferSyntaxUID == encoding.uid
        np.testing.assert_allclose(read(encoded), read(source), rtol=0, atol=encoding.tolerance)


@every_depth
@pytest.mark.parametrize(
    "encoding", [e for e in ENCODINGS if e.name not in SELECTION_VALUES], ids=lambda e: e.name
)
def test_radiograph_survives(
    tmp_path: Path, dcmtk: Dcmtk, radiograph: np.ndarray[Any, Any], encoding: Encoding, bits: int
) -> None:
    photometric = ("MONOCHROME1", "MONOCHROME2")[BITS.index(bits) % 2]
    source = save(tmp_path, radiograph, bits_stored=bits, photometric=photometric)
    picture = read(encode(encoding, source, dcmtk))
    np.testing.assert_allclose(picture, read(source), rtol=0, atol=encoding.tolerance)
    assert np.corrcoef(picture.ravel(), radiograph.ravel())[0, 1] > 0.999


@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize("name", ["jpeg-baseline", "jpeg-extended", "jpeg-ls-near"])
def test_lossy_jpeg_decodes_as_by_dcmtk(
    tmp_path: Path, dcmtk: Dcmtk, radiograph: np.ndarray[Any, Any], name: str, bits: int
) -> None:
    """Two decoders may round differently: by one stored value."""
    encoded = encode(NAMES[name], save(tmp_path, radiograph, bits_stored=bits), dcmtk)
    decoded = tmp_path / "decoded.dcm"
    program = "dcmdjpls" if name == "jpeg-ls-near" else "dcmdjpeg"
    assert dcmtk.run(program, encoded, decoded).returncode == 0
    levels = 2 ** pydicom.dcmread(encoded).BitsStored - 1
    np.testing.assert_allclose(read(encoded), read(decoded), rtol=0, atol=1.01 / levels)


@pytest.mark.parametrize(
    ("options", "how"),
    [
        ({"voi": "window"}, ["+Wi", "1"]),
        ({"voi": "window", "attributes": {"VOILUTFunction": "SIGMOID"}}, ["+Wi", "1", "+Wfs"]),
        ({"voi": "lut"}, ["+Wl", "1"]),
        ({"voi": "none"}, ["+Wm"]),
        ({"rescale": (2.0, -100.0)}, ["+Wi", "1"]),
        ({"modality_lut": True}, ["+Wi", "1"]),
    ],
    ids=["window", "sigmoid", "voi-lut", "range", "rescale", "modality-lut"],
)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@every_depth
def test_displays_as_by_dcmtk(
    tmp_path: Path,
    dcmtk: Dcmtk,
    radiograph: np.ndarray[Any, Any],
    options: dict[str, Any],
    how: list[str],
    photometric: str,
    bits: int,
) -> None:
    """DCMTK's renderer shows the same picture, to a level of 16 bits; the window clips."""
    source = save(tmp_path, radiograph, bits_stored=bits, photometric=photometric, **options)
    dataset = pydicom.dcmread(source)
    if "WindowWidth" in dataset:
        dataset.WindowCenter = dataset.WindowCenter - dataset.WindowWidth // 10
        dataset.WindowWidth = dataset.WindowWidth // 2
        dataset.save_as(source)
    shown = tmp_path / "shown.png"
    done = dcmtk.run("dcm2pnm", *how, "+on2", source, shown)
    assert done.returncode == 0, done.stderr
    with Image.open(shown) as image:
        expected = np.asarray(image) / 65535
    np.testing.assert_allclose(read(source), expected, rtol=0, atol=1.01 / 65535)


def test_colours_become_grey(tmp_path: Path, dcmtk: Dcmtk) -> None:
    """A secondary capture in colours, in every syntax that DCMTK makes of it."""
    rows, columns = np.mgrid[0:48, 0:64]
    colours = np.stack([columns * 4, rows * 5, 255 - columns * 4], axis=-1).astype(np.uint8)
    expected = colours @ np.array([0.299, 0.587, 0.114]) / 255
    dataset = wrap_radiograph(np.eye(4), modality="CR", voi="none")
    dataset.set_pixel_data(colours, "RGB", 8, generate_instance_uid=False)
    source = tmp_path / "source.dcm"
    dataset.save_as(source)
    for encoding in ENCODINGS:
        if encoding.words:
            picture = read(encode(encoding, source, dcmtk))
            # JPEG in colours also halves the resolution of the colours.
            tolerance = 0.05 if encoding in LOSSY else 1e-6
            np.testing.assert_allclose(picture, expected, rtol=0, atol=tolerance)


def test_colour_jpeg_2000_and_planes(tmp_path: Path) -> None:
    rows, columns = np.mgrid[0:48, 0:64]
    colours = np.stack([columns * 4, rows * 5, 255 - columns * 4], axis=-1).astype(np.uint8)
    dataset = wrap_radiograph(np.eye(4), modality="CR", voi="none")
    dataset.set_pixel_data(colours, "RGB", 8, generate_instance_uid=False)
    interleaved = read_picture_pixels(dataset)
    dataset.compress(pydicom.uid.JPEG2000Lossless, generate_instance_uid=False)
    dataset.save_as(tmp_path / "j2k.dcm")
    np.testing.assert_array_equal(read(tmp_path / "j2k.dcm"), interleaved)
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.PixelData = colours.transpose(2, 0, 1).tobytes()
    dataset["PixelData"].is_undefined_length = False
    dataset.PlanarConfiguration = 1
    np.testing.assert_array_equal(read_picture_pixels(dataset), interleaved)


def test_real_negatives_decode(shared_data: Path) -> None:
    """The tibia comes in JPEG-LS and in RLE, of the same exposure."""
    pictures = {path.stem: read(path) for path in (shared_data / "negatives").glob("*.dcm")}
    assert len(pictures) == 5
    for picture in pictures.values():
        assert picture.dtype == np.float32
        assert 0.0 <= picture.min() < picture.max() <= 1.0
    np.testing.assert_array_equal(
        pictures["RG3_JLSL_CR_extremity_tibia"], pictures["RG3_RLE_CR_extremity_tibia"]
    )


# --- damaged images ------------------------------------------------------------------------------


def encoded_frame(path: Path) -> tuple[Dataset, bytes]:
    dataset = pydicom.dcmread(path)
    return dataset, get_frame(dataset.PixelData, 0, number_of_frames=1)


def check_damaged(dataset: Dataset, frame: bytes) -> bool:
    """Read a damaged image; it must be refused or be a picture. Tells whether it was refused."""
    set_frame(dataset, dataset.file_meta.TransferSyntaxUID, frame)
    try:
        picture = read_picture_pixels(dataset)
    except PixelsError:
        return True
    assert picture.shape == (dataset.Rows, dataset.Columns)
    assert 0.0 <= picture.min() <= picture.max() <= 1.0
    return False


@pytest.mark.parametrize("encoding", [*LOSSLESS, *LOSSY], ids=lambda e: e.name)
def test_frame_cut_short_is_refused(
    tmp_path: Path, dcmtk: Dcmtk, gradient: np.ndarray[Any, Any], encoding: Encoding
) -> None:
    encoded = encode(encoding, save(tmp_path, gradient), dcmtk)
    dataset, frame = encoded_frame(encoded)
    for tenths in range(1, 10):
        assert check_damaged(dataset, frame[: len(frame) * tenths // 10])


@pytest.mark.parametrize("encoding", [*LOSSLESS, *LOSSY], ids=lambda e: e.name)
def test_damage_never_ends_the_process(
    tmp_path: Path, dcmtk: Dcmtk, gradient: np.ndarray[Any, Any], encoding: Encoding
) -> None:
    """Some damage cannot be seen in the stream; none may crash, hang or come out as a number."""
    encoded = encode(encoding, save(tmp_path, gradient), dcmtk)
    dataset, frame = encoded_frame(encoded)
    random = np.random.default_rng(20)
    refused = 0
    for _, reach in itertools.product(range(40), (len(frame), 120, 40)):
        damaged = bytearray(frame)
        for at in random.integers(0, min(reach, len(frame)), 3):
            damaged[at] = random.integers(0, 256)
        refused += check_damaged(dataset, bytes(damaged))
    assert refused > 0


def test_frame_of_another_size_is_refused(
    tmp_path: Path, dcmtk: Dcmtk, gradient: np.ndarray[Any, Any]
) -> None:
    for encoding in (*LOSSLESS, *LOSSY):
        source = save(tmp_path, gradient)
        _, frame = encoded_frame(encode(encoding, source, dcmtk))
        dataset = wrap_radiograph(gradient.T, modality="CR")
        set_frame(dataset, encoding.uid, frame)
        # A run-length stream of as many pixels cannot tell.
        if encoding.uid != RLELossless:
            with pytest.raises(PixelsError, match="size"):
                read_picture_pixels(dataset)


def test_fill_bytes_before_a_marker_are_no_damage(
    tmp_path: Path, dcmtk: Dcmtk, gradient: np.ndarray[Any, Any]
) -> None:
    """ITU-T T.81 B.1.1.2 allows any number of them."""
    source = save(tmp_path, gradient)
    dataset, frame = encoded_frame(encode(NAMES["jpeg-sv1"], source, dcmtk))
    set_frame(dataset, dataset.file_meta.TransferSyntaxUID, frame[:2] + b"\xff\xff" + frame[2:])
    np.testing.assert_array_equal(read_picture_pixels(dataset), read(source))


def test_several_fragments_are_one_frame(
    tmp_path: Path, dcmtk: Dcmtk, gradient: np.ndarray[Any, Any]
) -> None:
    source = save(tmp_path, gradient, bits_stored=16)
    whole = encode(NAMES["jpeg-sv1"], source, dcmtk)
    dataset, frame = encoded_frame(whole)
    dataset.PixelData = pydicom.encaps.encapsulate([frame], fragments_per_frame=3, has_bot=False)
    np.testing.assert_array_equal(read_picture_pixels(dataset), read(source))


@pytest.mark.parametrize("uid", NATIVE, ids=lambda uid: uid.keyword)
def test_native_pixels_cut_short_are_refused(gradient: np.ndarray[Any, Any], uid: UID) -> None:
    dataset = wrap_radiograph(gradient)
    dataset.file_meta.TransferSyntaxUID = uid
    dataset.PixelData = dataset.PixelData[: len(dataset.PixelData) // 2]
    with pytest.raises(PixelsError, match="cannot be decoded"):
        read_picture_pixels(dataset)


@pytest.mark.parametrize("data", [b"", b"\x00\x00", b"no item tags at all"])
def test_pixel_data_without_a_frame_is_refused(gradient: np.ndarray[Any, Any], data: bytes) -> None:
    for uid in decodable_transfer_syntaxes():
        dataset = wrap_radiograph(gradient)
        dataset.file_meta.TransferSyntaxUID = uid
        dataset.PixelData = data
        with pytest.raises(PixelsError):
            read_picture_pixels(dataset)


def test_native_data_under_a_compressed_name_are_refused(gradient: np.ndarray[Any, Any]) -> None:
    for uid in JPEGTransferSyntaxes:
        dataset = wrap_radiograph(gradient)
        dataset.file_meta.TransferSyntaxUID = uid
        with pytest.raises(PixelsError):
            read_picture_pixels(dataset)
