"""What docs/readers.md shows: ``python -m tests.readers`` (`make readers`).

Draws the phantom, has a node read it, and leaves OHIF's pictures of the results in docs/images, and
what dsrdump and dcmjs make of the report in var/readers.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from PIL import Image

from dicom_node import vocabulary as v
from tests.ohif import Ohif, dicomweb_settings, open_study
from tests.peers import start_orthanc
from tests.readers.dcmjs import read_report
from tests.readers.study import make_study
from tests.validators import dsrdump

PROJECT: Final = Path(__file__).resolve().parents[2]
PICTURES: Final = PROJECT / "docs" / "images"
COLOURS: Final = 255
SETTLED: Final = """() => document.fonts.ready.then(
    () => new Promise((done) => requestIdleCallback(done, {timeout: 3000})))"""
"""A script that ends when the page has nothing left to do."""


def main() -> None:
    """Write the picture and the two texts."""
    texts = PROJECT / "var" / "readers"
    texts.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bone-age-readers-") as name:
        folder = Path(name)
        with start_orthanc(folder, settings=dicomweb_settings()) as orthanc:
            study = make_study(folder, orthanc)
            with open_study(orthanc, study.study_instance_uid) as ohif:
                ohif.open_series(v.SC_SERIES_DESCRIPTION)
                ohif.overlay().get_by_text(v.SC_SERIES_DESCRIPTION).wait_for()
                photograph(ohif, PICTURES / "ohif.png")
                ohif.open_series(v.SR_SERIES_DESCRIPTION)
                ohif.reset_view()
                ohif.page.get_by_text(f"{v.BONE_AGE.meaning}: ").wait_for()
                photograph(ohif, PICTURES / "ohif-report.png")
        (texts / "dsrdump.txt").write_text(dsrdump(study.report), "utf-8")
        lines = map(str, read_report(study.report)[0])
        (texts / "dcmjs.txt").write_text("\n".join(lines) + "\n", "utf-8")
    for path in (*sorted(PICTURES.glob("ohif*.png")), texts / "dsrdump.txt", texts / "dcmjs.txt"):
        print(path.relative_to(PROJECT))  # noqa: T201 - a program's answer


def photograph(ohif: Ohif, path: Path) -> None:
    """Save what OHIF shows, in few colours."""
    ohif.page.evaluate(SETTLED)
    ohif.page.screenshot(path=path)
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(COLOURS).save(path, optimize=True)


if __name__ == "__main__":
    main()
