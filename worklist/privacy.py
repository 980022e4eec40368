"""The privacy switch: with it on, no page says who a patient is."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from worklist.access import Viewer

COOKIE: Final = "privacy"
ON: Final = "1"
YEAR_SECONDS: Final = 365 * 86_400
OWN_ADDRESS: Final = re.compile(r"/(?![/\\])[!-\[\]-~]*")
"""An address of these pages: no other host, no control characters, no backslash."""

router = APIRouter()


def shows_patients(request: Request) -> bool:
    """Return whether pages may say who a patient is; the browser keeps the switch in a cookie."""
    return request.cookies.get(COOKIE) != ON


@router.post("/privacy")
def switch(
    _user: Viewer,
    privacy: Annotated[str, Form()] = "",
    back: Annotated[str, Form()] = "/",
) -> Response:
    """Hide the patients, or show them again, and go back to the page."""
    to = back if OWN_ADDRESS.fullmatch(back) else "/"
    answer = RedirectResponse(to, HTTPStatus.SEE_OTHER)
    if privacy == ON:
        answer.set_cookie(
            COOKIE, ON, max_age=YEAR_SECONDS, path="/", httponly=True, samesite="strict"
        )
    else:
        answer.delete_cookie(COOKIE, path="/")
    return answer
