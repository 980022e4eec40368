"""``/api/openapi.json``: what a program may ask, made from the routes themselves (OpenAPI 3.1).

The pages are for people and are left out. What holds for every operation stands here once: who is
let in, the least role, and how a refusal is answered.
"""

from __future__ import annotations

import copy
import inspect
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Request
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, iter_route_contexts

from dicom_node import __version__
from worklist.access import AtLeast, Role, Viewer
from worklist.cookies import SESSION
from worklist.csrf import HEADER
from worklist.failures import is_for_programs
from worklist.guard import SAFE, is_open

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi import FastAPI

Json = dict[str, Any]

TITLE: Final = "Bone age worklist"
DESCRIPTION: Final = f"""\
The jobs of a DICOM node that reads bone age from hand radiographs. For research use only.

Send an API token (made on the page "Account", or by `python -m worklist users token`) as
`Authorization: Bearer`. The session of a browser is good as well; a request that changes something
then needs the session's token as `{HEADER}`.

Roles: a viewer reads, an operator acts on jobs, an admin sees to users and connections. Each
operation says the least role that it serves. A refusal is `{{"detail": "one sentence"}}`, but for
`/dicomweb`, whose refusals may be plain text (PS3.18).
"""
PROBLEM: Final[Json] = {
    "type": "object",
    "title": "Problem",
    "description": "Why a request was not served, in plain words.",
    "required": ["detail"],
    "properties": {"detail": {"type": "string"}},
}
SCHEMES: Final[Json] = {
    "token": {"type": "http", "scheme": "bearer", "description": "An API token."},
    "session": {"type": "apiKey", "in": "cookie", "name": SESSION, "description": "A login."},
}
REFUSALS: Final[dict[int, str]] = {
    400: "The request cannot be read.",
    401: "Nobody is logged in, and no valid token was sent.",
    403: "The role, or where the request comes from, does not allow it.",
    404: "There is no such address.",
    406: "It cannot be had in any form that is accepted.",
    422: "The request is not what the operation takes.",
    503: "The database cannot be read.",
}

DICOMWEB_CODES: Final = (400, 403, 406)
"""403 is also for what would show a patient while the privacy switch is on."""

FIRST_REFUSAL: Final = 400

router = APIRouter()


@router.get("/api/openapi.json", tags=["description"], response_model=dict[str, Any])
def read_description(request: Request, _user: Viewer) -> Json:
    """Return this description of the interface."""
    app: FastAPI = request.app
    if app.openapi_schema is None:
        app.openapi_schema = describe(app)
    return app.openapi_schema


def describe(app: FastAPI) -> Json:
    """Return the description of all that programs may ask of an application."""
    routes = list(_routes(app))
    made = get_openapi(
        title=TITLE, version=__version__, description=DESCRIPTION, routes=list(routes)
    )
    parts = made.setdefault("components", {})
    parts["securitySchemes"] = SCHEMES
    schemas = parts.setdefault("schemas", {})
    schemas["Problem"] = PROBLEM
    for unused in ("HTTPValidationError", "ValidationError"):  # FastAPI's; ours are answered as 422
        schemas.pop(unused, None)
    for route in routes:
        for method in route.methods or ():
            _complete(made["paths"][route.path_format][method.lower()], route, method)
    return made


def _routes(app: FastAPI) -> Iterator[APIRoute]:
    """Yield the routes for programs, as they are described: HEAD is GET without the body."""
    originals = [context.original_route for context in iter_route_contexts(app.routes)]
    ours = [one for one in originals if isinstance(one, APIRoute) and is_for_programs(one.path)]
    times = Counter(route.name for route in ours)
    for route in ours:
        shown = copy.copy(route)
        shown.methods = (route.methods or set()) - {"HEAD"}
        levels = [f"of_{name}" for name in route.param_convertors] or ["of_all"]
        shown.operation_id = "_".join([route.name, *(levels if times[route.name] > 1 else [])])
        summary, _, rest = inspect.cleandoc(route.endpoint.__doc__ or "").partition("\n\n")
        shown.summary, shown.description = summary.replace("\n", " ").rstrip("."), rest
        yield shown


def _complete(operation: Json, route: APIRoute, method: str) -> None:
    """Say what holds for every operation, where it does not say more itself."""
    responses = operation["responses"]
    role = _least_role(route)
    codes = [503]
    if not is_open(route.path):
        operation["security"] = [{name: []} for name in SCHEMES]
        codes += [401, *([403] if role > Role.VIEWER or method not in SAFE else [])]
        said = operation.get("description", "")
        operation["description"] = f"{said}\n\nLeast role: {role.word}.".strip()
        operation["x-least-role"] = role.word
    if route.param_convertors:
        codes.append(404)
        _name_parameters(operation, route)
    if "HTTPValidationError" in str(responses.get("422", "")):
        responses.pop("422")
        codes.append(422)
    if "requestBody" in operation:
        codes.append(400)
    is_dicomweb = route.path.startswith("/dicomweb")
    codes += DICOMWEB_CODES if is_dicomweb else []
    for code in codes:
        responses.setdefault(str(code), _refusal(code))
    for code, response in responses.items():
        if int(code) >= FIRST_REFUSAL and not response.get("content"):
            response["content"] = _refusal(int(code))["content"]
        if int(code) >= FIRST_REFUSAL and is_dicomweb:
            response["content"]["text/plain"] = {"schema": {"type": "string"}}
    operation["responses"] = dict(sorted(responses.items()))


def _refusal(code: int) -> Json:
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {"description": REFUSALS.get(code, "Not served."), "content": content}


def _name_parameters(operation: Json, route: APIRoute) -> None:
    """Add what stands in the path and no function takes by its name."""
    given = operation.setdefault("parameters", [])
    known = {one["name"] for one in given}
    given += [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in route.param_convertors
        if name not in known
    ]


def _least_role(route: APIRoute) -> Role:
    """Return the role that a route names (`worklist.access`)."""
    asked = [route.dependant]
    roles = [Role.VIEWER]
    while asked:
        dependant = asked.pop()
        asked += dependant.dependencies
        if isinstance(dependant.call, AtLeast):
            roles.append(dependant.call.role)
    return max(roles)
