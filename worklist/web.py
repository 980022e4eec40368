"""How the pages answer: templates, headers, messages."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, Final

import jinja2
from fastapi import Depends, Request
from fastapi.responses import Response
from fastapi.templating import Jinja2Templates
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dicom_node import __version__, deliveries
from dicom_node.db import now
from dicom_node.node import Node
from dicom_node.vocabulary import RESEARCH_USE
from worklist import list_words, words

HERE: Final = Path(__file__).parent

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
        "object-src 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: a form would then be sent with "Origin: null" (Fetch, 3.2), which is refused.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""On every answer; what it shows must not stay in a browser's cache."""

READ: Final = ["GET", "HEAD"]


def make_templates() -> Jinja2Templates:
    """Return the templates: everything is escaped, a missing value is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        age=words.age_words,
        elapsed=list_words.elapsed_words,
        name=list_words.name_words,
        short_age=list_words.short_age,
        signed=list_words.signed,
        date=words.date_words,
        moment=words.moment_words,
        second=words.second_words,
        status=words.status_words,
    )
    environment.globals.update(
        job_tones=words.JOB_TONES,
        delivery_tones=words.DELIVERY_TONES,
        determination_tones=list_words.DETERMINATION_TONES,
        health_tones=words.HEALTH_TONES,
        meanings=words.MEANINGS,
        kinds=words.KINDS,
        is_stored=deliveries.is_stored,
        research_use=RESEARCH_USE,
        version=__version__,
    )
    return Jinja2Templates(env=environment)


class SecurityHeaders:
    """Sets `HEADERS` on every answer that passes; one that has its own keeps it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, send_with_headers)


def node_of(request: Request) -> Node:
    """Return the node that the application was made over."""
    node: Node = request.app.state.node
    return node


NodeOfApp = Annotated[Node, Depends(node_of)]


def page(request: Request, name: str, context: dict[str, Any], status: int = 200) -> Response:
    """Render a template with what every page shows."""
    templates: Jinja2Templates = request.app.state.templates
    moment = now().astimezone()
    common = {
        "ae_title": node_of(request).config.node.ae_title,
        "csrf_token": getattr(request.state, "csrf_token", ""),
        "moment": moment.isoformat(),
        "user": getattr(request.state, "user", None),
        "zone": moment.tzname(),
    }
    return templates.TemplateResponse(request, name, {**common, **context}, status_code=status)


def message(request: Request, status: int, text: str, title: str | None = None) -> Response:
    """Render a page that says in one sentence why there is no other."""
    context = {"title": title or HTTPStatus(status).phrase, "text": text}
    return page(request, "message.html", context, status)
