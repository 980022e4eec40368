"""The application: every page and address over one node."""

from __future__ import annotations

from typing import Final

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.middleware.trustedhost import TrustedHostMiddleware

from dicom_node.node import Node
from worklist import (
    account_page,
    actions,
    actions_api,
    archive_page,
    audit_page,
    batches,
    compare_page,
    connections_page,
    dashboard,
    dicomweb,
    health_api,
    job_page,
    list_page,
    live,
    login_page,
    metrics,
    oidc_page,
    openapi,
    privacy,
    upload_page,
    users_api,
    users_page,
    viewer,
)
from worklist.failures import answer_failures
from worklist.guard import Guard
from worklist.picture import Pictures
from worklist.proxy import Forwarded
from worklist.web import HERE, SecurityHeaders, make_templates

LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")

ROUTERS: Final = (
    health_api.router,
    list_page.router,
    live.router,
    privacy.router,
    job_page.router,
    upload_page.router,
    archive_page.router,
    dashboard.router,
    connections_page.router,
    metrics.router,
    dicomweb.router,
    viewer.router,
    actions.router,
    batches.router,
    compare_page.router,
    actions_api.router,
    login_page.router,
    oidc_page.router,
    account_page.router,
    users_page.router,
    audit_page.router,
    users_api.router,
    openapi.router,
)


def create_app(node: Node) -> FastAPI:
    """Return the application over a node, which the caller closes.

    Only requests for a loopback name, ``worklist.host`` or one of ``worklist.hosts`` are answered:
    without that a page of the internet could have its own name resolved to this machine and ask.
    """
    app = FastAPI(title=openapi.TITLE, openapi_url=None, docs_url=None, redoc_url=None)
    app.state.node = node
    app.state.templates = make_templates()
    app.state.pictures = Pictures()
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=HERE / "static"), name="static")
    section = node.config.worklist
    # The last one added is the first to see a request.
    app.add_middleware(Guard)
    app.add_middleware(
        TrustedHostMiddleware, allowed_hosts=[*LOOPBACK_NAMES, section.host, *section.hosts]
    )
    if section.behind_proxy:
        app.add_middleware(Forwarded)
    app.add_middleware(SecurityHeaders)
    answer_failures(app)
    return app
