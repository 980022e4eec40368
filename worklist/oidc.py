"""Logging in by an OpenID Connect provider: code flow with PKCE, state and nonce.

OpenID Connect Core 1.0 3.1, RFC 7636 (PKCE), RFC 9207 (who answers), RFC 9700 (what to beware of).
Nothing of an attempt is kept here: one secret in the browser's cookie yields its state, nonce and
verifier, so that an answer fits the browser that asked, and no other.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from dicom_node.errors import NodeError
from worklist.access import Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dicom_node.config import OidcSection

ALGORITHMS: Final = [
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
]
"""Signatures by a key that only the provider has: none of them is ``none`` or a shared secret."""

TIMEOUT_SECONDS: Final = 10.0
LEEWAY_SECONDS: Final = 60
"""By how much the provider's clock and ours may differ."""


class OidcError(NodeError):
    """The provider cannot be asked, or what it says is not to be believed; names no person."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One login at the provider, by the secret that its browser keeps."""

    secret: str

    @classmethod
    def new(cls) -> Attempt:
        """Return a new one."""
        return cls(secrets.token_urlsafe(32))

    @property
    def state(self) -> str:
        """Return what the answer must carry."""
        return self._derived("state")

    @property
    def nonce(self) -> str:
        """Return what the ID token must carry."""
        return self._derived("nonce")

    @property
    def verifier(self) -> str:
        """Return what shows that the code was asked for by us."""
        return self._derived("verifier")

    @property
    def challenge(self) -> str:
        """Return what the verifier is checked by (RFC 7636 4.2, S256)."""
        return _base64url(hashlib.sha256(self.verifier.encode()).digest())

    def _derived(self, label: str) -> str:
        return _base64url(hmac.digest(self.secret.encode(), label.encode(), "sha256"))


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider as its discovery document has it."""

    section: OidcSection
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    by_post: bool

    def authorization_url(self, attempt: Attempt, redirect_uri: str) -> str:
        """Return where the browser goes to log in."""
        query = {
            "response_type": "code",
            "client_id": self.section.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(["openid", *self.section.scopes]),
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": attempt.challenge,
            "code_challenge_method": "S256",
        }
        mark = "&" if "?" in self.authorization_endpoint else "?"
        return f"{self.authorization_endpoint}{mark}{urlencode(query)}"


def discover(section: OidcSection) -> Provider:
    """Ask a provider for its addresses (OpenID Connect Discovery 1.0 4).

    Raises
    ------
    OidcError
        If it does not answer as one, or calls itself otherwise.
    """
    found = _asked(section, "GET", section.issuer.rstrip("/") + "/.well-known/openid-configuration")
    if found.get("issuer") != section.issuer:
        msg = "the provider calls itself by another address than worklist.oidc.issuer"
        raise OidcError(msg)
    methods = found.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    userinfo = found.get("userinfo_endpoint")
    try:
        return Provider(
            section=section,
            authorization_endpoint=str(found["authorization_endpoint"]),
            token_endpoint=str(found["token_endpoint"]),
            jwks_uri=str(found["jwks_uri"]),
            userinfo_endpoint=None if userinfo is None else str(userinfo),
            by_post="client_secret_basic" not in methods and "client_secret_post" in methods,
        )
    except KeyError as error:
        msg = f"the provider names no {error.args[0]}"
        raise OidcError(msg) from error


def claims_of(provider: Provider, attempt: Attempt, code: str, redirect_uri: str) -> dict[str, Any]:
    """Change a code into what the provider says of the user.

    Raises
    ------
    OidcError
        If the code is refused, or the ID token is not for us, for now, and for this attempt.
    """
    section = provider.section
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri,
        "code_verifier": attempt.verifier,
    }
    answer = _token_answer(provider, form)
    keys = _asked(section, "GET", provider.jwks_uri)
    claims = verified(section, str(answer.get("id_token", "")), keys, attempt.nonce)
    wanted = {section.role_claim, section.name_claim}
    if wanted <= claims.keys() or provider.userinfo_endpoint is None:
        return claims
    bearer = {"Authorization": f"Bearer {answer.get('access_token', '')}"}
    more = _asked(section, "GET", provider.userinfo_endpoint, headers=bearer)
    if more.get("sub") != claims["sub"]:
        msg = "the provider speaks of two users"
        raise OidcError(msg)
    return {**more, **claims}


def verified(section: OidcSection, token: str, keys: dict[str, Any], nonce: str) -> dict[str, Any]:
    """Return the claims of an ID token (OpenID Connect Core 1.0 3.1.3.7).

    Raises
    ------
    OidcError
        If it is not signed by the provider, or not for us, for now, and for this attempt.
    """
    registry = jwt.JWTClaimsRegistry(
        leeway=LEEWAY_SECONDS,
        iss={"essential": True, "value": section.issuer},
        sub={"essential": True},
        aud={"essential": True, "value": section.client_id},
        exp={"essential": True},
        iat={"essential": True},
        nonce={"essential": True, "value": nonce},
    )
    try:
        claims = jwt.decode(token, _signing_keys(keys), algorithms=ALGORITHMS).claims
        registry.validate(claims)
    except (JoseError, AttributeError, KeyError, TypeError, ValueError) as error:
        msg = f"the provider's ID token is not valid ({type(error).__name__})"
        raise OidcError(msg) from error
    audience = claims["aud"]
    others = isinstance(audience, list) and len(audience) > 1
    if claims.get("azp", None if others else section.client_id) != section.client_id:
        msg = "the provider's ID token is for another application"
        raise OidcError(msg)
    return dict(claims)


def _signing_keys(found: dict[str, Any]) -> KeySet:
    """Return those of a provider's keys that sign; it may have others, of kinds not known here."""
    keys = [key for key in found["keys"] if key.get("kty") in {"RSA", "EC"}]
    return KeySet.import_key_set({"keys": [key for key in keys if key.get("use", "sig") == "sig"]})


def role_of(section: OidcSection, claims: Mapping[str, Any]) -> Role | None:
    """Return the highest role that a user's claims give; None: they may not come in."""
    value = claims.get(section.role_claim)
    values = value if isinstance(value, list) else [value]
    texts = [one for one in values if isinstance(one, str)]
    found = [Role.of(section.roles[one]) for one in texts if one in section.roles]
    return max(found, default=None)


def _token_answer(provider: Provider, form: dict[str, str]) -> dict[str, Any]:
    """Ask for tokens, as the client that the provider knows (RFC 6749 2.3.1)."""
    section = provider.section
    secret = section.client_secret
    headers = {}
    if secret is None:
        form = {**form, "client_id": section.client_id}
    elif provider.by_post:
        form = {**form, "client_id": section.client_id, "client_secret": secret}
    else:
        pair = f"{quote(section.client_id, safe='')}:{quote(secret, safe='')}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return _asked(section, "POST", provider.token_endpoint, headers=headers, form=form)


def _asked(
    section: OidcSection,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    form: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return a JSON object that the provider answers."""
    # What is read here decides who comes in: it must not come over the open network.
    if section.issuer.startswith("https:") and not url.startswith("https:"):
        msg = "the provider names an address without TLS"
        raise OidcError(msg)
    try:
        answer = httpx.request(method, url, headers=headers, data=form, timeout=TIMEOUT_SECONDS)
        answer.raise_for_status()
        found = answer.json()
    # Their texts repeat addresses, which may hold a code; a wrong one is no URL.
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        msg = f"the provider cannot be asked ({type(error).__name__})"
        raise OidcError(msg) from error
    if not isinstance(found, dict):
        msg = "the provider's answer is no JSON object"
        raise OidcError(msg)
    return found


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
