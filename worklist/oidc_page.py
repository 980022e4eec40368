"""The way to the OpenID provider and back."""

from __future__ import annotations

import hmac
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from dicom_node import audit
from worklist import accounts, oidc
from worklist.accounts import AccountError, Vouched
from worklist.cookies import cookie_name, drop_cookie, set_cookie
from worklist.forms import sentence
from worklist.login_page import local_path, login_form, welcome
from worklist.oidc import Attempt, OidcError
from worklist.web import READ, node_of

if TYPE_CHECKING:
    from dicom_node.config import OidcSection

log = structlog.get_logger()

router = APIRouter()

COOKIE: Final = "worklist_provider"
LIFETIME_SECONDS: Final = 600.0
"""How long a person may take to log in there."""

AWAY: Final = "The hospital's login cannot be used now; the log says why."
LONGEST_NEXT: Final = 1000
"""A cookie holds 4 kB."""

NOT_BEGUN: Final = "That login was not begun in this browser, or took too long. Try again."
NO_ROLE: Final = "the hospital's login knows you, but gives you no role here; ask an admin"
REFUSED: Final = "The hospital's login refused you."


@router.api_route("/login/provider", methods=READ)
def go(request: Request, next: str = "/") -> Response:  # noqa: A002 - the parameter's name
    """Lead the browser to the provider."""
    section = _section(request)
    attempt = Attempt.new()
    try:
        address = oidc.discover(section).authorization_url(attempt, _return_address(request))
    except OidcError as error:
        return _failed(request, next, error)
    answer = RedirectResponse(address, HTTPStatus.SEE_OTHER)
    # Behind the secret, where to go on; it is checked again before anybody goes there.
    on = local_path(next) if next.isascii() and len(next) <= LONGEST_NEXT else "/"
    set_cookie(request, answer, COOKIE, f"{attempt.secret}{on}", LIFETIME_SECONDS)
    return answer


@router.api_route("/login/provider/return", methods=READ)
def come_back(
    request: Request, code: str = "", state: str = "", error: str = "", iss: str | None = None
) -> Response:
    """Take the provider's answer, and begin a session of whom it vouches for."""
    section = _section(request)
    secret, slash, rest = request.cookies.get(cookie_name(request, COOKIE), "").partition("/")
    wanted, attempt = slash + rest, Attempt(secret)
    fits = hmac.compare_digest(attempt.state.encode(), state.encode("utf-8", "replace"))
    if not secret or not fits or iss not in {None, section.issuer}:
        answer = login_form(request, wanted, NOT_BEGUN, HTTPStatus.BAD_REQUEST)
    elif error or not code:
        answer = login_form(request, wanted, REFUSED, HTTPStatus.UNAUTHORIZED)
    else:
        answer = _finish(request, attempt, code, wanted)
    drop_cookie(request, answer, COOKIE)
    return answer


def _finish(request: Request, attempt: Attempt, code: str, wanted: str) -> Response:
    """Ask who it is, and let them in."""
    section = _section(request)
    try:
        provider = oidc.discover(section)
        claims = oidc.claims_of(provider, attempt, code, _return_address(request))
    except OidcError as error:
        return _failed(request, wanted, error)
    try:
        account_id = _admitted(request, section, claims)
    except AccountError as error:
        return login_form(request, wanted, sentence(error), HTTPStatus.FORBIDDEN)
    return welcome(request, account_id, wanted, "by the OpenID provider")


def _admitted(request: Request, section: OidcSection, claims: dict[str, Any]) -> int:
    """Return the user whom the claims mean, made or changed as they say.

    Raises
    ------
    AccountError
        If they may not come in; the text is for them.
    """
    known_by = Vouched(section.issuer, str(claims["sub"])[:255])
    role = oidc.role_of(section, claims)
    name = str(claims.get(section.name_claim, ""))
    problem = ""
    with node_of(request).database.write() as session:
        account = accounts.vouched(session, known_by)
        if role is None or (account is not None and account.disabled_at is not None):
            actor = account.name if account else "unknown"
            why = "no role" if role is None else "disabled"
            detail = f"by the OpenID provider; {why}"
            audit.note(session, actor, "login failed", f"user {actor}", detail)
            problem = NO_ROLE
        elif account is None:
            account = accounts.add(session, name, role, known_by, actor="OpenID provider")
        else:
            accounts.follow_provider(session, account, role)
    if account is None or problem:
        raise AccountError(problem)
    return account.id


def _failed(request: Request, wanted: str, error: OidcError) -> Response:
    """Say that the provider is of no use now; the reason is for the log."""
    log.error("login by the provider failed", reason=str(error))
    return login_form(request, wanted, AWAY, HTTPStatus.BAD_GATEWAY)


def _section(request: Request) -> OidcSection:
    """Return the provider's configuration; without one there is no such page."""
    section = node_of(request).config.worklist.oidc
    if section is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return section


def _return_address(request: Request) -> str:
    """Return where the provider sends the browser back to."""
    return f"{request.base_url}login/provider/return"
