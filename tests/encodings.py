"""Every compressed form of a radiograph that a modality might send, made by other people's code.

DCMTK makes what it can (native syntaxes, RLE, JPEG, JPEG-LS); JPEG 2000 is made by OpenJPEG
through pydicom, and high-throughput JPEG 2000 by OpenJPH through imagecodecs. Whatever encodes
here, another library decodes in the node, except for RLE's and OpenJPEG's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import imagecodecs
import numpy as np
import pydicom
from pydicom.encaps import encapsulate
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

if TYPE_CHECKING:
    from pydicom import Dataset

    from tests.peers import Dcmtk


@dataclass(frozen=True, slots=True)
class Encoding:
    """A transfer syntax and a way to encode it.

    Attributes
    ----------
    name : str
        For the name of a test.
    uid : UID
        The transfer syntax.
    tolerance : float
        Largest error of a displayed pixel, of 1: what was measured on radiographs of 512 px at
        8 to 16 bits, doubled; 0 where the syntax is lossless.
    words : tuple of str
        DCMTK's program and options; empty where a library encodes.
    """

    name: str
    uid: UID
    tolerance: float = 0.0
    words: tuple[str, ...] = ()


NATIVE: Final = (
    Encoding("implicit", ImplicitVRLittleEndian, words=("dcmconv", "+ti")),
    Encoding("explicit", ExplicitVRLittleEndian, words=("dcmconv", "+te")),
    Encoding("deflated", DeflatedExplicitVRLittleEndian, words=("dcmconv", "+td")),
    Encoding("big-endian", ExplicitVRBigEndian, words=("dcmconv", "+tb")),
)

LOSSLESS: Final = (
    Encoding("rle", RLELossless, words=("dcmcrle",)),
    Encoding("jpeg-sv1", JPEGLosslessSV1, words=("dcmcjpeg", "+e1")),
    *(
        Encoding(f"jpeg-sv{value}", JPEGLossless, words=("dcmcjpeg", "+el", "+sv", str(value)))
        for value in range(2, 8)
    ),
    Encoding("jpeg-ls", JPEGLSLossless, words=("dcmcjpls", "+el")),
    Encoding("jpeg-2000", JPEG2000Lossless),
    Encoding("htj2k", HTJ2KLossless),
    Encoding("htj2k-rpcl", HTJ2KLosslessRPCL),
)

LOSSY: Final = (
    Encoding("jpeg-baseline", JPEGBaseline8Bit, 0.12, ("dcmcjpeg", "+eb")),
    Encoding("jpeg-extended", JPEGExtended12Bit, 0.12, ("dcmcjpeg", "+ee")),
    Encoding("jpeg-ls-near", JPEGLSNearLossless, 0.016, ("dcmcjpls", "+en")),
    Encoding("jpeg-2000-lossy", JPEG2000, 0.024),
    Encoding("htj2k-lossy", HTJ2K, 0.016),
)

ENCODINGS: Final = (*NATIVE, *LOSSLESS, *LOSSY)

PSNR_DECIBEL: Final = 60
"""Of lossy JPEG 2000."""


def encode(encoding: Encoding, source: Path, dcmtk: Dcmtk) -> Path:
    """Return the path of an uncompressed file's encoded form, beside it."""
    target = source.with_name(f"{source.stem}-{encoding.name}.dcm")
    if encoding.words:
        program, *options = encoding.words
        done = dcmtk.run(program, *options, source, target)
        assert done.returncode == 0, done.stderr
        return target
    dataset = pydicom.dcmread(source)
    if encoding.uid == JPEG2000:
        dataset.compress(encoding.uid, j2k_psnr=[PSNR_DECIBEL], generate_instance_uid=False)
    elif encoding.uid == JPEG2000Lossless:
        dataset.compress(encoding.uid, generate_instance_uid=False)
    else:  # pydicom has no encoder for high throughput
        pixels = np.ascontiguousarray(dataset.pixel_array)
        frame = imagecodecs.htj2k_encode(pixels, reversible=encoding.tolerance == 0)
        set_frame(dataset, encoding.uid, bytes(frame))
    dataset.save_as(target)
    return target


def set_frame(dataset: Dataset, uid: UID, frame: bytes) -> None:
    """Make a compressed frame a data set's pixel data."""
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = uid
