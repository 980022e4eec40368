"""Logging in by an OpenID provider, over real HTTP and with real signatures."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from joserfc.jwk import OctKey, RSAKey

from dicom_node import migrations
from dicom_node.config import OidcSection, load_config
from dicom_node.errors import ConfigError
from tests.web.conftest import add_user, served
from tests.web.provider import CLIENT_ID, CLIENT_SECRET, Provider, query_of
from worklist import accounts
from worklist.access import Role
from worklist.app import create_app
from worklist.cookies import SESSION
from worklist.oidc import Attempt, OidcError, discover

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from dicom_node.node import Node

ANNA = {"sub": "248289761001", "preferred_username": "anna", "groups": ["staff", "radiology-it"]}


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """Return a provider that is served, and whose user is Anna."""
    monkeypatch.setenv("BONEAGE_OIDC_SECRET", CLIENT_SECRET)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    provider = Provider(user=dict(ANNA))
    with served(provider.app()) as client:
        provider.issuer = str(client.base_url).rstrip("/")
        yield provider


@pytest.fixture
def node(make_node: Callable[[str], Node], provider: Provider) -> Node:
    """Return a node whose users the provider vouches for."""
    node = make_node(
        "worklist:\n  oidc:\n"
        f"    issuer: '{provider.issuer}'\n    client_id: {CLIENT_ID}\n"
        "    client_secret_env: BONEAGE_OIDC_SECRET\n"
        "    roles: {radiology-it: admin, staff: viewer}\n"
    )
    migrations.upgrade(node.config)
    return node


def log_in(client: httpx.Client, wanted: str = "/") -> httpx.Response:
    """Go to the provider and come back, as a browser does."""
    away = client.get("/login/provider", params={"next": wanted})
    assert away.status_code == 303
    back = httpx.get(away.headers["location"], trust_env=False)
    return client.get(back.headers["location"])


def test_a_user_of_the_provider(node: Node, provider: Provider, anonymous: httpx.Client) -> None:
    assert 'href="/login/provider?next=/jobs/7"' in anonymous.get("/login?next=/jobs/7").text
    answer = log_in(anonymous, "/jobs/7?x=1")
    assert (answer.status_code, answer.headers["location"]) == (303, "/jobs/7?x=1")
    assert anonymous.get("/users").status_code == 200
    provider.user |= {"groups": "staff", "preferred_username": "anna.b"}
    assert log_in(anonymous).status_code == 303
    assert anonymous.get("/users").status_code == 403
    with node.database.read() as session:
        [account] = accounts.listed(session)
    assert (account.name, account.role, account.password_hash) == ("anna", "viewer", None)
    with node.database.write() as session:
        accounts.disable(session, accounts.named(session, "anna"), actor="test")
    assert anonymous.get("/").status_code == 303
    assert log_in(anonymous).status_code == 403


def test_claims_of_the_userinfo(provider: Provider, anonymous: httpx.Client) -> None:
    provider.in_userinfo = True
    assert log_in(anonymous).status_code == 303
    assert anonymous.get("/users").status_code == 200


@pytest.mark.parametrize("groups", [None, [], ["visitors"], {"radiology-it": 1}, [["staff"]], 7])
def test_who_has_no_role_is_refused(
    node: Node, provider: Provider, anonymous: httpx.Client, groups: object
) -> None:
    provider.user["groups"] = groups
    answer = log_in(anonymous)
    assert answer.status_code == 403
    assert "gives you no role here" in answer.text
    assert SESSION not in anonymous.cookies
    with node.database.read() as session:
        assert not accounts.exist(session)


def test_a_name_that_is_taken(node: Node, provider: Provider, anonymous: httpx.Client) -> None:
    """The provider's Anna must not become ours, who has a password."""
    add_user(node, "Anna", Role.ADMIN)
    answer = log_in(anonymous)
    assert (answer.status_code, "A user of this name exists." in answer.text) == (403, True)
    provider.user["preferred_username"] = "two words"
    assert log_in(anonymous).status_code == 403
    assert SESSION not in anonymous.cookies


def wrong_tokens() -> dict[str, Callable[[Provider], None]]:
    """Return what an attacker, or a broken provider, may send."""

    def claims(**wrong: Any) -> Callable[[Provider], None]:  # noqa: ANN401
        return lambda provider: provider.wrong.update(wrong)

    def signed(algorithm: str, key: object) -> Callable[[Provider], None]:
        return lambda provider: setattr(provider, "sign", (algorithm, key))

    def by_public_key(provider: Provider) -> None:
        provider.hmac_secret = provider.key.as_pem(private=False)

    return {
        "another issuer": claims(iss="http://127.0.0.1:1"),
        "another application": claims(aud="another"),
        "also another application": claims(aud=[CLIENT_ID, "another"]),
        "authorised party": claims(azp="another"),
        "expired": claims(exp=int(time.time()) - 120),
        "no expiry": claims(exp=None),
        "another nonce": claims(nonce="of another attempt"),
        "no nonce": claims(nonce=None),
        "no subject": claims(sub=None),
        "subject is no text": claims(sub=["248289761001"]),
        "another key": signed("RS256", RSAKey.generate_key(2048)),
        "no signature": signed("none", OctKey.generate_key(256)),
        "the public key as a shared secret": by_public_key,
    }


@pytest.mark.parametrize("name", wrong_tokens())
@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")  # what is wrong is made so
def test_a_wrong_id_token(
    provider: Provider, anonymous: httpx.Client, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong_tokens()[name](provider)
    answer = log_in(anonymous)
    assert "the provider's ID token is " in "".join(capsys.readouterr())
    assert answer.status_code == 502
    assert "cannot be used now" in answer.text
    assert SESSION not in anonymous.cookies


def test_an_answer_that_was_not_asked_for(provider: Provider, anonymous: httpx.Client) -> None:
    """An attacker's code must log nobody in as the attacker, and no code works twice."""
    away = anonymous.get("/login/provider").headers["location"]
    back = httpx.get(away, trust_env=False).headers["location"]
    mine = query_of(back)
    cookies = dict(anonymous.cookies)
    path = "/login/provider/return"
    for wrong in (
        {"state": "x"},
        {"state": Attempt("").state},
        {"iss": "http://127.0.0.1:1"},
        {"code": ""},
        {"error": "access_denied"},
    ):
        anonymous.cookies.update(cookies)
        answer = anonymous.get(path, params=mine | wrong)
        assert answer.status_code in {400, 401}
        assert SESSION not in anonymous.cookies
    anonymous.cookies.clear()
    assert anonymous.get(path, params=mine).status_code == 400
    assert anonymous.get(path, params=mine | {"state": Attempt("").state}).status_code == 400
    anonymous.cookies.update(cookies)
    assert anonymous.get(path, params=mine).status_code == 303
    anonymous.cookies.clear()
    anonymous.cookies.update(cookies)
    assert anonymous.get(path, params=mine).status_code == 502
    assert not provider.codes


def test_a_provider_that_is_away(
    make_node: Callable[[str], Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    text = "worklist: {oidc: {issuer: 'http://127.0.0.1:1', client_id: x, roles: {}}}\n"
    node = make_node(text)
    migrations.upgrade(node.config)
    with served(create_app(node)) as client:
        answer = client.get("/login/provider")
        assert (answer.status_code, "cannot be used now" in answer.text) == (502, True)


def test_a_provider_of_another_name(provider: Provider) -> None:
    section = OidcSection(issuer=f"{provider.issuer}/", client_id="x", roles={})
    with pytest.raises(OidcError, match=r"another address than worklist\.oidc\.issuer"):
        discover(section)


def test_without_a_provider_there_is_no_way_to_one(
    make_node: Callable[[str], Node], client_of: Callable[[Node], httpx.Client]
) -> None:
    client = client_of(make_node(""))
    assert client.get("/login/provider").status_code == 404
    assert client.get("/login/provider/return").status_code == 404


@pytest.mark.parametrize("issuer", ["http://login.example.org", "login.example.org", "https://x?y"])
def test_an_issuer_must_be_safe(tmp_path: Path, issuer: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(f"worklist: {{oidc: {{issuer: '{issuer}', client_id: x, roles: {{}}}}}}\n")
    with pytest.raises(ConfigError, match=r"worklist.oidc.issuer: .* the address of an OpenID"):
        load_config(file)
