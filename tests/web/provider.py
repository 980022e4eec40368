"""A small OpenID provider on loopback, with a real RSA key; it checks what a real one checks."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from fastapi import FastAPI, Form, HTTPException, Request
from fastapi.responses import RedirectResponse
from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT_ID = "bone-age"
CLIENT_SECRET = "s3cret/with:signs"  # noqa: S105 - of a provider that lives as long as a test


@dataclass
class Provider:
    """What the provider says of whoever comes; a test changes it.

    Attributes
    ----------
    user : dict
        The claims of the user who is logged in there.
    wrong : dict
        Claims of the ID token that are not as they should be.
    sign : tuple
        The algorithm and the key of ID tokens.
    issuer : str
        Its own address, once it is served.
    in_userinfo : bool
        Whether only the userinfo has the user's claims.
    hmac_secret : bytes or None
        Signs ID tokens by HS256, as a library would not with a public key.
    """

    user: dict[str, Any] = field(default_factory=dict)
    wrong: dict[str, Any] = field(default_factory=dict)
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one"}))
    sign: tuple[str, Any] | None = None
    issuer: str = ""
    in_userinfo: bool = False
    hmac_secret: bytes | None = None
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def app(self) -> FastAPI:
        """Return the provider as an application."""
        app = FastAPI()
        app.get("/.well-known/openid-configuration")(self.configuration)
        app.get("/jwks")(self.keys)
        app.get("/authorize")(self.authorize)
        app.post("/token")(self.token)
        app.get("/userinfo")(self.userinfo)
        return app

    def configuration(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
        }

    def keys(self) -> dict[str, Any]:
        return {"keys": [{"kty": "future"}, self.key.as_dict(private=False)]}

    def authorize(self, request: Request) -> RedirectResponse:
        """Log the user in at once."""
        asked = dict(request.query_params)
        assert (asked["response_type"], asked["client_id"]) == ("code", CLIENT_ID)
        assert "openid" in asked["scope"].split()
        assert asked["code_challenge_method"] == "S256"
        code = f"code-{len(self.codes)}"
        self.codes[code] = asked
        query = urlencode({"code": code, "state": asked["state"], "iss": self.issuer})
        return RedirectResponse(f"{asked['redirect_uri']}?{query}", 303)

    def token(
        self,
        request: Request,
        code: Annotated[str, Form()],
        code_verifier: Annotated[str, Form()],
        redirect_uri: Annotated[str, Form()],
    ) -> dict[str, Any]:
        """Give tokens for a code, once, to the client that asked for it."""
        basic = base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode()
        client = tuple(unquote(part) for part in basic.split(":"))
        asked = self.codes.pop(code, None)
        digest = hashlib.sha256(code_verifier.encode()).digest()
        challenge = base64url(digest)
        if (
            asked is None
            or client != (CLIENT_ID, CLIENT_SECRET)
            or asked["code_challenge"] != challenge
            or asked["redirect_uri"] != redirect_uri
        ):
            raise HTTPException(400, {"error": "invalid_grant"})
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": int(time.time()),
            "exp": int(time.time()) + 300,
            "nonce": asked["nonce"],
            **({"sub": self.user["sub"]} if self.in_userinfo else self.user),
            **self.wrong,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        algorithm, key = self.sign or ("RS256", self.key)
        header = {"alg": algorithm, "kid": "one"}
        if self.hmac_secret is None:
            id_token = jwt.encode(header, claims, key, algorithms=[algorithm])
        else:
            id_token = by_hand(claims, self.hmac_secret)
        return {"access_token": "access", "token_type": "Bearer", "id_token": id_token}

    def userinfo(self, request: Request) -> dict[str, Any]:
        assert request.headers["authorization"] == "Bearer access"
        return self.user


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def by_hand(claims: dict[str, Any], secret: bytes) -> str:
    """Return a token that is signed by HS256 with any secret."""
    parts = ({"alg": "HS256", "kid": "one"}, claims)
    signed = ".".join(base64url(json.dumps(part).encode()) for part in parts)
    return f"{signed}.{base64url(hmac.digest(secret, signed.encode(), 'sha256'))}"


def query_of(address: str) -> dict[str, str]:
    """Return the query of an address."""
    return dict(parse_qsl(urlsplit(address).query))
