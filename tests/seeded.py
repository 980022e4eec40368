"""A whole node with a seed, its pages in a real Chromium, and what its destinations lead to."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pydicom
from sqlalchemy import select

from dicom_node.db import InstanceRow, JobRow
from tests.nodes import MODALITY, destination, serving, write_config
from tests.peers import HOST, Dcmtk, is_listening
from tests.web.browser import chromium
from worklist.invented import CALLERS, DESTINATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from tests.nodes import RunningNode
    from tests.peers import Receiver

USER, PASSWORD = "ada", "correct horse battery"
WORK_MS: Final = 90_000
"""How long the node may take for what the page then shows."""


@dataclass(frozen=True, slots=True)
class Day:
    """What the tests share.

    Attributes
    ----------
    node : RunningNode
        With its seed.
    receiver : Receiver
        What all of its destinations lead to.
    browser : Browser
        Chromium.
    login : dict
        What a page needs to be the admin's.
    """

    node: RunningNode
    receiver: Receiver
    browser: Browser
    login: dict[str, Any]

    @property
    def url(self) -> str:
        """Return where the pages are."""
        return f"http://{HOST}:{self.node.config.worklist.port}"

    def received_uids(self) -> set[str]:
        """Return the SOP Instance UIDs of all that the destinations have taken."""
        tag = ["SOPInstanceUID"]
        files = self.receiver.files()
        return {str(pydicom.dcmread(f, specific_tags=tag).SOPInstanceUID) for f in files}

    def jobs_where(self, *conditions: Any) -> list[int]:  # noqa: ANN401 - SQLAlchemy's
        """Return the ids of jobs, the newest first."""
        chosen = select(JobRow.id).join(InstanceRow).where(*conditions).order_by(JobRow.id.desc())
        with self.node.database.read() as session:
            return list(session.scalars(chosen))

    def with_file(self, *conditions: Any) -> list[int]:  # noqa: ANN401 - SQLAlchemy's
        """Return the ids of the seed's jobs that have a radiograph."""
        return self.jobs_where(InstanceRow.size_bytes > 0, *conditions)


def _own(config_file: Path, *words: str, said: str = "") -> None:
    """Run one of the worklist's commands as a user does."""
    command = [sys.executable, "-m", "worklist", "--config", str(config_file), *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True, input=said)
    assert done.returncode == 0, done.stderr


@contextmanager
def seeded_day(folder: Path, jobs: int, pictures: int) -> Iterator[Day]:
    """Seed a node, make its first admin, start it, and log in by the page: as a user would."""
    (folder / "node").mkdir()
    dcmtk = Dcmtk(folder)
    with dcmtk.storescp() as receiver, chromium() as browser:
        config_file = write_config(
            folder / "node",
            callers=[{"ae_title": title} for title in (MODALITY, *CALLERS)],
            destinations=[destination(n, receiver.ae_title, receiver.port) for n in DESTINATIONS],
        )
        _own(config_file, "seed", "--jobs", str(jobs), "--pictures", str(pictures))
        words = ("users", "add", USER, "--role", "admin", "--password-stdin")
        _own(config_file, *words, said=PASSWORD)
        with serving(config_file, dcmtk) as node:
            port = node.config.worklist.port
            url = f"http://{HOST}:{port}"
            node.peer.wait_for(lambda: is_listening(port), "the pages")
            page = browser.new_page(base_url=url)
            log_in(page, PASSWORD)
            login = {"base_url": url, "storage_state": page.context.storage_state()}
            page.close()
            yield Day(node, receiver, browser, login)


def log_in(page: Page, password: str) -> None:
    """Log in as a person does."""
    page.goto("/login")
    page.get_by_label("Name").fill(USER)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def finish_batch(page: Page) -> dict[str, str]:
    """Wait on a batch's page until it is finished, and return what it says."""
    page.get_by_role("heading", name="Finished").wait_for(timeout=WORK_MS)
    names = page.locator("#progress dl dt").all_inner_texts()
    return dict(zip(names, page.locator("#progress dl dd").all_inner_texts(), strict=True))
