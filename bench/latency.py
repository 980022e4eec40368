"""Seconds from a modality's C-STORE to SR and SC at an archive, one radiograph at a time.

Run from the checkout: ``.venv/bin/python -m bench.latency [--count 5]``. The modality and the
archive are DCMTK's storescu and storescp; the radiograph is a phantom.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from pydicom.uid import generate_uid

from dicom_node.radiograph import wrap_radiograph
from models.phantom import HIGHEST_VALUE, draw_phantom
from tests.nodes import destination, running_node
from tests.peers import Dcmtk


def measure(folder: Path, count: int) -> list[float]:
    """Return the seconds that each radiograph took, the first one with cold caches."""
    dcmtk = Dcmtk(folder)
    picture = draw_phantom("F", 126, height_px=2500, width_px=2000) / HIGHEST_VALUE
    seconds = []
    with dcmtk.storescp() as archive:
        pacs = destination("PACS", archive.ae_title, archive.port)
        with running_node(folder, dcmtk, destinations=[pacs]) as node:
            for number in range(count):
                dataset = wrap_radiograph(picture, sex="F", age_months=126)
                dataset.StudyInstanceUID = generate_uid(prefix=None)
                path = folder / f"{number}.dcm"
                dataset.save_as(path, enforce_file_format=True)
                began = time.monotonic()
                node.store([path])
                archive.wait_for_files(2 * (number + 1), 120)
                seconds.append(time.monotonic() - began)
    return seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5, help="radiographs")
    count = parser.parse_args().count
    with tempfile.TemporaryDirectory() as folder:
        first, *rest = measure(Path(folder), count)
    print(f"first, right after the start: {first:.1f} s")
    if rest:
        print(f"then {len(rest)}: median {statistics.median(rest):.1f} s, most {max(rest):.1f} s")


if __name__ == "__main__":
    main()
