"""The validators that others run on our objects, as functions that return their complaints.

A program that is not installed skips the test, and fails it under ``CI=true``. Lines that cannot
be helped are left out of the answer; each is listed here with its reason.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from tests.peers import missing, need
from tests.pixelmed import HEADING, JARS

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS = 160.0
PIXELMED_SECONDS = 6.0
"""More for each report."""

DCIODVFY_ACCEPTED: Final = {
    "Unrecognized defined term <99BONEAGE>": "a private coding scheme, and declared as such",
    "Attribute is not present in standard DICOM IOD - (0x0018,0x1002) UI Device UID": (
        "IHE AI Results wants it in ContributingEquipmentSequence; dicom3tools does not know it"
    ),
    "this is a Standard Extended SOP Class": "because of the Device UID",
    "needed to build DICOMDIR": "the source has no study date, time or ID to inherit",
    "only permitted to be empty when actually unknown": "the side is unknown, and says so",
    "PN [1] = <Anonymous> - Retired Person Name form": "the source's name is kept as it is",
}
"""Parts of dciodvfy's warnings, never of its errors."""

MAP_ACCEPTED: Final = {
    f"Attribute is not present in standard DICOM IOD - {attribute}": (
        "PS3.3 A.75.5 has the Derivation Image functional group; dicom3tools does not know it there"
    )
    for attribute in (
        "(0x0008,0x9124) SQ Derivation Image Sequence",
        "(0x0008,0x2111) ST Derivation Description",
        "(0x0008,0x2112) SQ Source Image Sequence",
        "(0x0008,0x1150) UI Referenced SOP Class UID",
        "(0x0008,0x1155) UI Referenced SOP Instance UID",
        "(0x0028,0x135a) CS Spatial Locations Preserved",
        "(0x0040,0xa170) SQ Purpose of Reference Code Sequence",
        "(0x0008,0x9215) SQ Derivation Code Sequence",
        "(0x0008,0x0100) SH Code Value",
        "(0x0008,0x0102) SH Coding Scheme Designator",
        "(0x0008,0x0104) LO Code Meaning",
    )
}
"""Parts of dciodvfy's warnings on a parametric map."""

PIXELMED_ACCEPTED: Final = {
    '"Sex predicted from image"): Content Item not in template': "TID 1501 takes any CODE",
    '"Quality Assessment"): Content Item not in template': "TID 1501 takes any CODE",
}
"""Parts of PixelMed's warnings: its edition of TID 1501 lists no qualitative evaluations."""

DCENTVFY_ACCEPTED: Final = {
    "AccessionNumber> IE <Series> versus <Study>": (
        "it is also in ReferencedRequestSequence, where it belongs to the series"
    ),
}
"""Parts of dcentvfy's warnings."""


def dciodvfy(path: Path, accepted: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """Return dciodvfy's errors and unexpected warnings on one file."""
    output = _output([str(need("dciodvfy")), str(path)])
    assert output.strip(), "dciodvfy did not name the IOD it checked against"
    return _complaints(output, {**DCIODVFY_ACCEPTED, **accepted})


def dcentvfy(*paths: Path) -> list[str]:
    """Return dcentvfy's errors and unexpected warnings on files of one study."""
    output = _output([str(need("dcentvfy")), *map(str, paths)])
    return _complaints(output, DCENTVFY_ACCEPTED)


def dsrdump(path: Path) -> str:
    """Return DCMTK's reading of a structured report.

    Raises
    ------
    CalledProcessError
        If DCMTK cannot read it.
    """
    command = [str(need("dsrdump")), "--print-all-codes", "--print-long-values", str(path)]
    done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=True)
    return done.stdout.decode("utf-8")


def pixelmed_sr(*paths: Path) -> list[str]:
    """Return the errors and unexpected warnings of PixelMed's DicomSRValidator on reports."""
    need("java")
    if not all(jar.is_file() for jar in JARS):
        missing("PixelMed (libpixelmed-java, libsaxonhe-java)")
    command = [sys.executable, "-m", "tests.pixelmed", *map(str, paths)]
    output = _output(command, SECONDS + PIXELMED_SECONDS * len(paths))
    complaints = []
    answers = output.split(HEADING)[1:]
    assert len(answers) == len(paths), f"PixelMed did not come to its end: {output[-500:]}"
    for path, answer in zip(paths, answers, strict=True):
        for line in ("Found Root Template TID_1500", "IOD validation complete"):
            assert line in answer, f"PixelMed did not come to the end of {path.name}: {answer}"
        complaints += [f"{path.name}: {found}" for found in _complaints(answer, PIXELMED_ACCEPTED)]
    return complaints


def _output(command: list[str], seconds: float = SECONDS) -> str:
    """Run a program and return all that it wrote, whatever its status."""
    done = subprocess.run(command, capture_output=True, timeout=seconds, check=False)
    return (done.stdout + done.stderr).decode("utf-8", "replace")


def _complaints(output: str, accepted: dict[str, str]) -> list[str]:
    """Return the lines that are errors, or warnings that nobody has accepted."""
    lines = [line for line in output.splitlines() if line.startswith(("Error", "Warning"))]
    return [
        line
        for line in lines
        if line.startswith("Error") or not any(part in line for part in accepted)
    ]
