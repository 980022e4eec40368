"""DICOM images without a hand as PNG, for `python -m models train-gate --rare`.

Run from the checkout: ``.venv/bin/python -m bench.negatives DIR --to var/negatives``. The
network knows no DICOM: the pictures are rendered as the node renders what it is sent.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image

from dicom_node.pixels import read_picture_pixels


def convert(source: Path, target: Path) -> None:
    """Write one DICOM image as a grey PNG of 16 bits."""
    picture = read_picture_pixels(pydicom.dcmread(source))
    Image.fromarray(np.rint(picture * 65535).astype(np.uint16)).save(target)


def main() -> None:
    """Convert every DICOM file of a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of *.dcm")
    parser.add_argument("--to", type=Path, required=True, help="folder for the PNG files")
    args = parser.parse_args()
    args.to.mkdir(parents=True, exist_ok=True)
    for path in sorted(args.folder.glob("*.dcm")):
        target = args.to / f"{path.stem}.png"
        convert(path, target)
        print(target)


if __name__ == "__main__":
    main()
