"""The transfer syntaxes whose pixel data can be decoded here, each by one codec.

One codec a syntax, and no second try: another might return half a picture where the first said
that the data are damaged. Each was chosen by what it does with damaged data, then by speed. GDCM
ends the whole process on some damaged JPEG streams and is never asked; libjpeg-turbo, through
imagecodecs, decodes JPEG lossless and 12-bit JPEG extended in its place. pydicom has no plugin
for imagecodecs, so this module is one (pydicom, "Decoder Plugins").

The first image that needs imagecodecs loads it: the listener only asks what can be decoded.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from dicom_node.errors import PixelsError
from dicom_node.header import UNREADABLE, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt
    from pydicom.dataset import Dataset
    from pydicom.pixels.decoders.base import DecodeRunner

NATIVE: Final = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
)

CODECS: Final = {
    JPEGBaseline8Bit: "pillow",
    JPEGExtended12Bit: "imagecodecs",
    JPEGLossless: "imagecodecs",
    JPEGLosslessSV1: "imagecodecs",
    JPEGLSLossless: "pyjpegls",
    JPEGLSNearLossless: "pyjpegls",
    JPEG2000Lossless: "pylibjpeg",
    JPEG2000: "pylibjpeg",
    HTJ2KLossless: "pylibjpeg",
    HTJ2KLosslessRPCL: "pylibjpeg",
    HTJ2K: "pylibjpeg",
    RLELossless: "pylibjpeg",
}
"""pydicom's name of the plugin that decodes each encapsulated syntax."""

JPEG: Final = frozenset(
    uid for uid, codec in CODECS.items() if codec in {"pillow", "imagecodecs", "pyjpegls"}
)
"""Syntaxes whose streams have the markers of ITU-T T.81 and T.87."""

JPEG_2000: Final = frozenset({JPEG2000Lossless, JPEG2000, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K})

START_OF_IMAGE, END_OF_IMAGE = b"\xff\xd8", b"\xff\xd9"
FILL, START_OF_SCAN = b"\xff", b"\xda"
FRAMES = frozenset(bytes([0xC0 + n]) for n in range(16) if n not in {4, 8, 12}) | {b"\xf7"}
"""Codes that start a frame: SOF 0 to 15 (ITU-T T.81 table B.1) and 55 (T.87)."""

CODESTREAM = b"\xff\x4f\xff\x51"
"""How a JPEG 2000 codestream starts, SOC and SIZ (ITU-T T.800 A.4.1, A.5.1)."""

DECODER_DEPENDENCIES: Final = {
    uid: ("imagecodecs",) for uid, codec in CODECS.items() if codec == "imagecodecs"
}
"""What pydicom asks of a plugin's module, beside `is_available`."""

_UNDECODABLE: Final = (*UNREADABLE, RuntimeError, MemoryError)
"""What pydicom's decoders raise on damaged pixel data."""


def decodable_transfer_syntaxes() -> list[UID]:
    """Return the transfer syntaxes that the installed codecs decode."""
    return [*NATIVE, *(uid for uid, codec in CODECS.items() if codec in _plugins(uid))]


def decode(dataset: Dataset) -> tuple[npt.NDArray[Any], str]:
    """Return the stored values of an image's only frame.

    Returns
    -------
    pixels : ndarray
        (H, W), or (H, W, 3) for colours, of the type that BitsAllocated and PixelRepresentation
        ask for; unused bits are gone.
    photometric : str
        The photometric interpretation that the pixels now have: YBR has become RGB.

    Raises
    ------
    PixelsError
        If there are no pixel data, several frames, no codec for the syntax, or damaged data.
    """
    if text(dataset, "NumberOfFrames") not in {"", "0", "1"}:
        msg = "it has several frames, or a number of frames that cannot be read"
        raise PixelsError(msg)
    if "PixelData" not in dataset:
        msg = "it has no pixel data"
        raise PixelsError(msg)
    uid = getattr(dataset, "file_meta", {}).get("TransferSyntaxUID")
    if uid not in decodable_transfer_syntaxes():
        msg = "its transfer syntax cannot be decoded here"
        raise PixelsError(msg)
    try:
        return _decode(dataset, uid)
    except _UNDECODABLE as error:
        failure: BaseException = error
    except BaseException as error:
        # A panic of pylibjpeg-rle, on damaged data, is no Exception (PyO3).
        if type(error).__name__ != "PanicException":
            raise
        failure = error
    msg = f"its pixel data cannot be decoded ({uid.name})"
    raise PixelsError(msg) from failure


def _decode(dataset: Dataset, uid: UID) -> tuple[npt.NDArray[Any], str]:
    shift = _unused_low_bits(dataset, uid)
    if uid not in NATIVE:
        shape = (dataset.Rows, dataset.Columns, dataset.SamplesPerPixel)
        check_codestream(uid, get_frame(dataset.PixelData, 0, number_of_frames=1), shape)
    pixels, properties = get_decoder(uid).as_array(
        dataset,
        index=0,
        decoding_plugin=CODECS.get(uid, ""),
        correct_unused_bits=shift == 0,  # type: ignore[arg-type]
    )
    if shift:
        unused = dataset.BitsAllocated - dataset.BitsStored
        pixels = (pixels << (unused - shift)) >> unused
    return pixels, str(properties["photometric_interpretation"])


def _unused_low_bits(dataset: Dataset, uid: UID) -> int:
    """Return how many bits lie unused below the stored ones.

    Today HighBit is BitsStored - 1 (PS3.5 8.1.1); old images have others. It describes the cells
    of native and RLE pixel data; other codecs return the values themselves.
    """
    high = dataset.get("HighBit")
    if uid not in {*NATIVE, RLELossless} or not isinstance(high, int):
        return 0
    highest: int = min(high, dataset.BitsAllocated - 1)
    return max(0, highest + 1 - int(dataset.BitsStored))


@cache
def _plugins(uid: UID) -> tuple[str, ...]:
    """Return the plugins that pydicom can use for a syntax, this module among them."""
    decoder = get_decoder(uid)
    if CODECS[uid] == "imagecodecs":
        decoder.add_plugin("imagecodecs", (__name__, "decode_jpeg"))
    return decoder.available_plugins


def is_available(_uid: str) -> bool:
    """Tell pydicom whether this module can decode."""
    return find_spec("imagecodecs") is not None


def decode_jpeg(src: bytes, runner: DecodeRunner) -> bytes:
    """Decode a JPEG frame for pydicom, 2 to 16 bits deep, in the colours in which it was stored."""
    import imagecodecs  # noqa: PLC0415 - the listener never decodes

    colours = "YCBCR" if runner.samples_per_pixel == 3 else None  # noqa: PLR2004
    pixels = imagecodecs.jpeg8_decode(src, colorspace=colours, outcolorspace=colours)
    runner.set_option("bits_allocated", pixels.dtype.itemsize * 8)
    runner.set_option("planar_configuration", 0)
    return pixels.tobytes()


def check_codestream(uid: UID, frame: bytes, shape: tuple[int, int, int]) -> None:
    """Refuse a compressed frame that is cut short or is not of the size that the header says.

    CharLS reads on for ever after the end of a stream that was cut short; libjpeg fills the rest
    with grey and is silent.

    Parameters
    ----------
    uid : UID
        The transfer syntax.
    frame : bytes
        The compressed frame.
    shape : tuple of int
        Rows, Columns and SamplesPerPixel.

    Raises
    ------
    PixelsError
        If it must not be given to a codec.
    """
    if uid in JPEG:
        # One byte of padding makes a fragment even (PS3.5 A.4); some encoders write two.
        if END_OF_IMAGE not in frame[-4:]:
            msg = "the compressed image is cut short"
            raise PixelsError(msg)
        sizes = [_jpeg_size(segment) for code, segment in _jpeg_segments(frame) if code in FRAMES]
    elif uid in JPEG_2000 and frame.startswith(CODESTREAM):
        sizes = [_jpeg_2000_size(frame)]
    else:
        return
    if sizes != [shape]:
        msg = "the compressed image is not of the size that the header says"
        raise PixelsError(msg)


def _jpeg_segments(frame: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield code and content of each segment before the first scan (ITU-T T.81 B.1.1)."""
    at = 2 if frame.startswith(START_OF_IMAGE) else len(frame)
    while frame[at : at + 1] == FILL:
        code = frame[at + 1 : at + 2]
        if code == FILL:
            at += 1
            continue
        if code == START_OF_SCAN:
            return
        length = int.from_bytes(frame[at + 2 : at + 4])
        yield code, frame[at + 4 : at + 2 + length]
        at += 2 + length


def _jpeg_size(segment: bytes) -> tuple[int, int, int]:
    """Return lines, samples a line and components of a start of frame (ITU-T T.81 B.2.2)."""
    lines, samples, components = segment[1:3], segment[3:5], segment[5:6]
    return int.from_bytes(lines), int.from_bytes(samples), int.from_bytes(components)


def _jpeg_2000_size(frame: bytes) -> tuple[int, int, int]:
    """Return rows, columns and components of a SIZ segment (ITU-T T.800 A.5.1)."""
    width, height, left, top = (int.from_bytes(frame[at : at + 4]) for at in (8, 12, 16, 20))
    return height - top, width - left, int.from_bytes(frame[40:42])
