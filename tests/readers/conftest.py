"""The phantom's study in an Orthanc that speaks DICOMweb, and OHIF with it open."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.ohif import dicomweb_settings, open_study
from tests.peers import start_orthanc
from tests.readers.study import make_study

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.ohif import Ohif
    from tests.readers.study import PhantomStudy


@pytest.fixture(scope="package")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PhantomStudy]:
    """Return the phantom's study."""
    folder = tmp_path_factory.mktemp("study")
    with start_orthanc(tmp_path_factory.mktemp("orthanc"), settings=dicomweb_settings()) as orthanc:
        yield make_study(folder, orthanc)


@pytest.fixture
def ohif(study: PhantomStudy) -> Iterator[Ohif]:
    """Return OHIF with the phantom's study just opened."""
    with open_study(study.orthanc, study.study_instance_uid) as opened:
        yield opened
