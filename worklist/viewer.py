"""OHIF over the node's own DICOMweb, where ``make viewer`` has fetched it."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from pydicom.uid import ExplicitVRLittleEndian
from starlette.exceptions import HTTPException

from worklist.access import Viewer
from worklist.dicomweb import ROOT as DICOMWEB
from worklist.web import HERE, READ, message

PATH: Final = "/viewer"
MODE: Final = "basic"
FOLDER = HERE / "vendor" / "ohif"
"""What ``scripts/install_viewer.sh`` unpacks; not under ``static``, which needs no login."""

NOT_INSTALLED: Final = (
    "The viewer is not installed. Run `make viewer` where the node's code lies; it fetches OHIF."
)

POLICY: Final = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self'; "
    "font-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
)
"""What OHIF needs: beyond our own pages, inline styles and pictures that it makes itself.

Its codecs would need ``unsafe-eval``; so the node decodes, which `CONFIG` asks it to.
"""

CONFIG: Final[dict[str, Any]] = {
    "routerBasename": PATH,
    "extensions": [],
    "modes": [],
    "showStudyList": True,
    "investigationalUseDialog": {"option": "never"},
    "showWarningMessageForCrossOrigin": False,
    "defaultDataSourceName": "node",
    "dataSources": [
        {
            "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
            "sourceName": "node",
            "configuration": {
                "friendlyName": "This node",
                "name": "node",
                "qidoRoot": DICOMWEB,
                "wadoRoot": DICOMWEB,
                "imageRendering": "wadors",
                "thumbnailRendering": "wadors",
                "enableStudyLazyLoad": True,
                "supportsFuzzyMatching": False,
                "supportsWildcard": True,
                "omitQuotationForMultipartRequest": True,
                "requestTransferSyntaxUID": str(ExplicitVRLittleEndian),
                "bulkDataURI": {"enabled": True},
            },
        }
    ],
}
"""OHIF's app-config.js: one data source, no other host."""

INDEX: Final = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>Viewer - research use only, not for diagnosis</title>
  <link rel="icon" href="/static/icon.svg" type="image/svg+xml">
  <script src="{path}/app-config.js"></script>
  <script src="{path}/{script}" defer></script>
  <link rel="stylesheet" href="{path}/app.bundle.css">
</head>
<body>
  <noscript>The viewer needs JavaScript.</noscript>
  <div id="react-portal"></div>
  <div id="root"></div>
</body>
</html>
"""
"""In the place of OHIF's own index.html, which has inline scripts and expects to lie at ``/``."""

router = APIRouter(prefix=PATH, tags=["viewer"])


def study_url(study_instance_uid: str, *, series_instance_uid: str | None = None) -> str | None:
    """Return where the viewer shows a study, None where it is not installed.

    Parameters
    ----------
    study_instance_uid : str
        Of the study.
    series_instance_uid : str, optional
        The series to be shown first.
    """
    if not is_installed():
        return None
    query = {"StudyInstanceUIDs": study_instance_uid}
    if series_instance_uid is not None:
        query["initialSeriesInstanceUID"] = series_instance_uid
    return f"{PATH}/{MODE}?{urlencode(query)}"


def is_installed() -> bool:
    """Tell whether OHIF is there."""
    return (FOLDER / ".version").is_file()


@router.api_route("", methods=READ)
def redirect(_user: Viewer) -> Response:
    """Lead to the viewer."""
    return RedirectResponse(f"{PATH}/", HTTPStatus.SEE_OTHER)


@router.api_route("/app-config.js", methods=READ)
def show_config(_user: Viewer) -> Response:
    """Tell OHIF where it lies and where DICOMweb is."""
    text = (
        f"window.PUBLIC_URL = {json.dumps(PATH + '/')};\n"
        "window.browserImportFunction = (name) => import(name);\n"
        f"window.config = {json.dumps(CONFIG)};\n"
    )
    return Response(text, media_type="text/javascript")


@router.api_route("/{path:path}", methods=READ)
async def show(request: Request, _user: Viewer, path: str) -> Response:
    """Send a file of OHIF, or its page for what is no file: it reads the address itself."""
    if not is_installed():
        return message(request, HTTPStatus.NOT_FOUND, NOT_INSTALLED)
    if not re.search(r"\.[A-Za-z0-9]+$", path):
        return _index()
    if path.startswith("."):
        raise HTTPException(HTTPStatus.NOT_FOUND)
    answer = await StaticFiles(directory=FOLDER).get_response(path, request.scope)
    answer.headers["Cache-Control"] = "no-cache"  # kept, and asked for again; none is a patient's
    answer.headers["Content-Security-Policy"] = POLICY
    return answer


def _index() -> Response:
    script = next(FOLDER.glob("app.bundle.*.js")).name
    text = INDEX.format(path=PATH, script=script)
    headers = {"Content-Security-Policy": POLICY}
    return Response(text, media_type="text/html", headers=headers)
