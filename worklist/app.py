"""The application: every page and address over one node."""

from __future__ import annotations

from typing import Final

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.middleware.trustedhost import TrustedHostMiddleware

from dicom_node.node import Node
from worklist import archive_page, health_api, job_page, list_page, upload_page
from worklist.failures import answer_failures
from worklist.web import HERE, SecurityHeaders, make_templates

LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")

ROUTERS: Final = (
    health_api.router,
    list_page.router,
    job_page.router,
    upload_page.router,
    archive_page.router,
)


def create_app(node: Node) -> FastAPI:
    """Return the application over a node, which the caller closes.

    Only requests for a loopback name, or for ``worklist.host``, are answered: without that a
    page of the internet could have its own name resolved to this machine and read the list.
    """
    app = FastAPI(title="Bone age worklist", openapi_url=None, docs_url=None, redoc_url=None)
    app.state.node = node
    app.state.templates = make_templates()
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    app.add_middleware(
        TrustedHostMiddleware, allowed_hosts=[*LOOPBACK_NAMES, node.config.worklist.host]
    )
    app.add_middleware(SecurityHeaders)
    answer_failures(app)
    return app
