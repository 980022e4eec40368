"""Fixtures that every test may use: the shared data and the real peers."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pydicom.config
import pytest

from tests.peers import (
    Dcmtk,
    Orthanc,
    PostgreSql,
    start_orthanc,
    start_postgresql,
    start_redis,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of radiographs that lies beside the checkout, or skip."""
    folder = (PROJECT / ".." / "shared" / "data").resolve()
    if not folder.is_dir():
        pytest.skip("../shared/data is absent: no real radiographs to test with")
    return folder


@pytest.fixture
def dcmtk(tmp_path: Path) -> Dcmtk:
    """Return DCMTK's programs."""
    return Dcmtk(tmp_path)


@pytest.fixture(scope="session")
def orthanc_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """Run one Orthanc for the whole session; tests take ``orthanc``."""
    with start_orthanc(tmp_path_factory.mktemp("orthanc")) as server:
        yield server


@pytest.fixture
def orthanc(orthanc_server: Orthanc) -> Orthanc:
    """Return a real Orthanc with nothing in it."""
    orthanc_server.clear()
    return orthanc_server


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgreSql]:
    """Run one PostgreSQL cluster for the whole session; tests take ``postgresql``."""
    # Not in pytest's own folder: that one only its owner may enter, and the server's user differs.
    folder = Path(tempfile.mkdtemp(prefix="bone-age-postgresql-"))
    try:
        with start_postgresql(folder) as cluster:
            yield cluster
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def postgresql(postgresql_server: PostgreSql) -> Iterator[str]:
    """Return the SQLAlchemy URL of a fresh PostgreSQL database."""
    with postgresql_server.database() as url:
        yield url


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[str]:
    """Return the URL of a fresh redis-server."""
    folder = tmp_path / "redis"
    folder.mkdir()
    with start_redis(folder) as server:
        yield server.url


@pytest.fixture
def strict_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make pydicom refuse to write an invalid value instead of warning."""
    monkeypatch.setattr(pydicom.config.settings, "writing_validation_mode", pydicom.config.RAISE)
