"""OHIF in headless Chromium, before a real Orthanc: page and DICOMweb under one origin.

npm's package holds the built page (scripts/install_readers.sh); Debian's plug-in gives Orthanc its
DICOMweb. A small server hands out the page and passes on what the page asks of Orthanc.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from tests.peers import missing
from tests.web.browser import chromium
from tests.web.conftest import served

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx
    from playwright.sync_api import Locator, Page
    from starlette.requests import Request

    from tests.peers import Orthanc

PEERS: Final = Path(__file__).with_name(".peers")
DICOMWEB_ROOT: Final = "/dicom-web"
DICOMWEB_PLUGIN: Final = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
WINDOW_PX: Final = {"width": 1600, "height": 900}

PAGE_CONFIG: Final = {
    "extensions": [],
    "modes": [],
    "showStudyList": True,
    "investigationalUseDialog": {"option": "never"},
    "defaultDataSourceName": "orthanc",
    "dataSources": [
        {
            "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
            "sourceName": "orthanc",
            "configuration": {
                "friendlyName": "Orthanc",
                "name": "orthanc",
                "qidoRoot": DICOMWEB_ROOT,
                "wadoRoot": DICOMWEB_ROOT,
                "imageRendering": "wadors",
                "thumbnailRendering": "wadors",
                "enableStudyLazyLoad": True,
                "supportsWildcard": True,
                "omitQuotationForMultipartRequest": True,
            },
        }
    ],
}
"""What stands in OHIF's app-config.js: where DICOMweb is."""


def reader(name: str) -> Path:
    """Return the folder of what scripts/install_readers.sh fetched, or skip (fail in CI)."""
    folder = PEERS / name
    if not (folder / ".version").is_file():
        missing(f"{name}, from npm,")
    return folder


def dicomweb_settings() -> dict[str, Any]:
    """Return what makes an Orthanc speak DICOMweb, or skip the test (fail in CI)."""
    if not DICOMWEB_PLUGIN.is_file():
        missing("orthanc-dicomweb")
    return {
        "Plugins": [str(DICOMWEB_PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": f"{DICOMWEB_ROOT}/"},
    }


def page_server(page: Path, orthanc: httpx.Client) -> Starlette:
    """Return the server of OHIF's page that passes DICOMweb on to Orthanc."""

    def dicomweb(request: Request) -> Response:
        # Orthanc writes its links with the host that it was asked under.
        headers = {name: request.headers[name] for name in ("accept", "host")}
        answer = orthanc.get(f"{request.url.path}?{request.url.query}", headers=headers)
        kind = {"content-type": answer.headers.get("content-type", "")}
        return Response(answer.content, answer.status_code, kind)

    def config(_: Request) -> Response:
        return Response(f"window.config = {json.dumps(PAGE_CONFIG)};", media_type="text/javascript")

    def asset(request: Request) -> Response:
        path = page / request.path_params["path"]
        return FileResponse(path if path.is_file() else page / "index.html")

    return Starlette(
        routes=[
            Route(f"{DICOMWEB_ROOT}/{{path:path}}", dicomweb),
            Route("/app-config.js", config),
            Route("/{path:path}", asset),
        ]
    )


@dataclass(frozen=True, slots=True)
class Ohif:
    """A study open in OHIF.

    Attributes
    ----------
    page : Page
        Playwright's handle on the browser's page.
    errors : list of str
        What OHIF has thrown since.
    """

    page: Page
    errors: list[str] = field(default_factory=list)

    def open_series(self, description: str) -> None:
        """Show a series in the viewport, by a double click on its entry in the list."""
        self.page.get_by_text(description).first.dblclick()

    def reset_view(self) -> None:
        """Fit the picture, and draw its annotations, in the viewport."""
        self.page.locator("[data-cy=Reset-btn]").click()

    def viewport(self) -> Locator:
        """Return the part of the page where the picture is."""
        return self.page.locator("[data-cy=viewport-pane]")

    def overlay(self) -> Locator:
        """Return the text in the viewport's upper left corner: date and series."""
        return self.page.locator("[data-cy=viewport-overlay-top-left]")

    def tags(self, words: str, *, exact: bool = False) -> str:
        """Return the rows of OHIF's tag browser that hold words; of the series that is shown.

        With ``exact`` a cell holds them and nothing else: a short number stands in many a UID too.
        """
        self.page.locator("[data-cy=MoreTools-split-button-secondary]").click()
        self.page.get_by_text("Dicom Tag Browser").click()
        dialog = self.page.get_by_role("dialog")
        dialog.get_by_placeholder("Search metadata").fill(words)
        # The list is drawn anew a moment after the last key; its first row is then a match.
        dialog.get_by_text(words, exact=exact).first.wait_for()
        rows = dialog.inner_text()
        self.page.keyboard.press("Escape")
        dialog.wait_for(state="detached")
        return rows


@contextmanager
def open_study(orthanc: Orthanc, study_instance_uid: str) -> Iterator[Ohif]:
    """Open a study of an Orthanc in OHIF's basic viewer, in a Chromium of its own."""
    with (
        served(page_server(reader("ohif"), orthanc.rest)) as client,
        chromium() as browser,
    ):
        page = browser.new_page(viewport=WINDOW_PX)  # type: ignore[arg-type]
        ohif = Ohif(page)
        page.on("pageerror", lambda error: ohif.errors.append(str(error)))
        page.goto(f"{client.base_url}/basic?StudyInstanceUIDs={study_instance_uid}")
        ohif.overlay().wait_for()
        yield ohif
