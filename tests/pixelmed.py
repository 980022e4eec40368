"""PixelMed's validator of structured reports, on many files in one Java: ``-m tests.pixelmed``.

Its own program takes one file, and most of its time goes into starting Java and compiling rules.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import jpype

JARS: Final = tuple(
    Path("/usr/share/java", f"{name}.jar")
    # slf4j's silent half comes first: pixelmed.jar names another in its manifest.
    for name in ("slf4j-nop", "pixelmed", "Saxon-HE", "commons-codec", "slf4j-api")
)
LIMITS: Final = ("xpathExprGrpLimit", "xpathExprOpLimit", "xpathTotalOpLimit")
"""Of the Java library, which PixelMed's rules exceed."""

HEADING: Final = "=== "
"""Before the path of each file, on a line of its own."""


def main(paths: list[str]) -> None:
    """Print what the validator says of each file."""
    jpype.startJVM(
        "-XX:TieredStopAtLevel=1",
        "-XX:+UseSerialGC",
        *(f"-Djdk.xml.{limit}=0" for limit in LIMITS),
        classpath=list(map(str, JARS)),
    )
    make_validator = jpype.JClass("com.pixelmed.validate.DicomSRValidator")
    for path in paths:
        # One for each: the second pass of a used one looks at the items of an earlier report.
        validator = make_validator()
        validator.setOptionCheckTemplateID(True)
        print(f"{HEADING}{path}\n{validator.validate(path)}")  # noqa: T201 - its answer


if __name__ == "__main__":
    main(sys.argv[1:])
