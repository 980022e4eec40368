"""Who gets in, and who does not: logins, sessions, forms from elsewhere, roles."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import httpx
import pytest
from argon2 import PasswordHasher
from fastapi.routing import APIRoute
from sqlalchemy import select, text, update

from dicom_node.db import AccountRow, AuditRow, LoginFailureRow, WebSessionRow, now
from tests.peers import HOST
from tests.web.conftest import FORM_HEADER, PASSWORD, add_user, let_in, log_in, served
from worklist import accounts, passwords, sessions, throttle
from worklist.access import AtLeast, Role
from worklist.app import ROUTERS, create_app
from worklist.cookies import SESSION
from worklist.guard import LARGEST_BYTES, OPEN_PATHS, SAFE, is_open
from worklist.login_page import local_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fastapi import APIRouter
    from fastapi.dependencies.models import Dependant
    from starlette.routing import BaseRoute

    from dicom_node.node import Node

FORM = "application/x-www-form-urlencoded"


def audited(node: Node) -> list[tuple[str, str, str]]:
    with node.database.read() as session:
        rows = session.scalars(select(AuditRow).order_by(AuditRow.id)).all()
    return [(row.actor, row.action, row.subject) for row in rows]


# --- the door ----------------------------------------------------------------------------------


def test_a_person_is_led_to_the_login(anonymous: httpx.Client) -> None:
    for path, address in (
        ("/", "/login"),
        ("/jobs/1", "/login?next=/jobs/1"),
        ("/?before=7&x=%2Fa", "/login?next=/%3Fbefore%3D7%26x%3D%252Fa"),
        ("/no/such/page", "/login?next=/no/such/page"),
        ("//evil.example/x", "/login?next=//evil.example/x"),  # `local_path` leads it nowhere
    ):
        answer = anonymous.get(str(anonymous.base_url).rstrip("/") + path)
        assert (answer.status_code, answer.headers["location"]) == (303, address)


def test_a_program_is_told(anonymous: httpx.Client) -> None:
    answer = anonymous.get("/api/jobs")
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json()["detail"].startswith("Log in, or send a valid API token")


def test_a_script_of_a_page_is_not_redirected(anonymous: httpx.Client) -> None:
    assert anonymous.get("/jobs/1", headers={"Sec-Fetch-Mode": "cors"}).status_code == 401
    address = f"{anonymous.base_url}/jobs/1?x=1".replace("//jobs", "/jobs")
    headers = {"HX-Request": "true", "HX-Current-URL": address}
    answer = anonymous.get("/part", headers=headers)
    assert (answer.status_code, answer.headers["hx-redirect"]) == (
        401,
        "/login?next=/jobs/1%3Fx%3D1",
    )


def test_what_is_open(anonymous: httpx.Client) -> None:
    assert anonymous.get("/healthz").status_code in {200, 503}
    assert anonymous.get("/static/worklist.css").status_code == 200
    assert anonymous.get("/login").status_code == 200
    for path in ("/static", "/staticx", "/loginx", "/login/", "/healthz/x", "/%6cogin/"):
        assert anonymous.get(path).status_code == 303


def routes_of(router: APIRouter) -> Iterator[BaseRoute]:
    """Yield the routes of a router and of those that it includes."""
    for route in router.routes:
        included = getattr(route, "original_router", None)
        yield from [route] if included is None else routes_of(included)


def test_every_route_names_its_role() -> None:
    """An address that is not open asks for a role; one that changes something, for whose it is."""

    def roles(dependant: Dependant) -> list[Role]:
        found = [dependant.call.role] if isinstance(dependant.call, AtLeast) else []
        return found + [role for part in dependant.dependencies for role in roles(part)]

    own = ("/logout", "/privacy", "/account/", "/api/account/")  # of one's own session and tokens
    seen = set()
    for route in (route for router in ROUTERS for route in routes_of(router)):
        assert isinstance(route, APIRoute)
        if is_open(route.path):
            continue
        seen.add(route.path)
        asked = roles(route.dependant)
        assert asked, f"{route.path} asks for no role"
        if (route.methods or set()) - SAFE and not route.path.startswith(own):
            assert max(asked) >= Role.OPERATOR, f"a viewer can change something at {route.path}"
    assert {"/", "/jobs/{job_id:int}", "/users", "/audit"} <= seen


# --- logging in --------------------------------------------------------------------------------


def test_the_first_admin_is_told_how(node: Node, anonymous: httpx.Client) -> None:
    command = "python -m worklist users add NAME --role admin"
    assert command in anonymous.get("/login").text
    add_user(node, "anna", Role.ADMIN)
    assert command not in anonymous.get("/login").text


def test_logging_in_and_out(node: Node, anonymous: httpx.Client) -> None:
    add_user(node, "Anna", Role.VIEWER)
    answer = anonymous.post(
        "/login", data={"name": " aNNa ", "password": PASSWORD, "next": "/jobs/7"}
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/jobs/7")
    token = anonymous.cookies[SESSION]
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "path=/" in cookie
    assert "domain" not in cookie
    with node.database.read() as session:
        kept = session.scalars(select(WebSessionRow.token_sha256)).all()
    assert kept == [sessions.sha256_of(token)]
    page = anonymous.get("/")
    assert ">Anna</a>" in page.text
    assert anonymous.get("/login?next=/jobs/7").headers["location"] == "/jobs/7"
    csrf_token = sessions.csrf_token(token)
    assert f'name="csrf_token" value="{csrf_token}"' in page.text
    answer = anonymous.post("/logout", data={"csrf_token": csrf_token})
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert SESSION not in anonymous.cookies
    assert anonymous.get("/", headers={"Cookie": f"{SESSION}={token}"}).status_code == 303
    assert audited(node)[1:] == [
        ("Anna", "login", "user Anna"),
        ("Anna", "logout", "user Anna"),
    ]


def test_a_wrong_login_says_only_that(node: Node, anonymous: httpx.Client) -> None:
    account_id = add_user(node, "anna", Role.ADMIN)
    add_user(node, "bob", Role.ADMIN)
    wrong = log_in(anonymous, "anna", "a wrong password")
    unknown = log_in(anonymous, "a password typed as name", PASSWORD)
    with node.database.write() as session:
        accounts.disable(session, accounts.numbered(session, account_id), actor="test")
    disabled = log_in(anonymous, "anna")
    for answer in (wrong, unknown, disabled, log_in(anonymous, "", ""), log_in(anonymous, "\0")):
        assert answer.status_code == 401
        assert "The name or the password is wrong." in answer.text
    assert SESSION not in anonymous.cookies
    told = [entry for entry in audited(node) if entry[1] == "login failed"]
    assert [actor for actor, _, _ in told] == ["anna", "unknown", "anna", "unknown", "unknown"]


def test_a_login_begins_a_new_session(node: Node, anonymous: httpx.Client) -> None:
    """A token that somebody has put into the browser is not the one that is logged in (CWE-384)."""
    add_user(node, "anna", Role.VIEWER)
    anonymous.cookies.set(SESSION, "planted", domain=HOST)
    assert log_in(anonymous, "anna").status_code == 303
    first = anonymous.cookies.get(SESSION, domain=HOST)
    assert first not in {None, "planted"}
    assert log_in(anonymous, "anna").status_code == 303
    second = anonymous.cookies.get(SESSION, domain=HOST)
    assert second != first
    anonymous.cookies.set(SESSION, str(first), domain=HOST)
    assert anonymous.get("/").status_code == 303
    anonymous.cookies.set(SESSION, str(second), domain=HOST)
    assert anonymous.get("/").status_code == 200


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        " //evil.example",
        "javascript:alert(1)",
        "evil.example",
        "",
    ],
)
def test_a_login_leads_nowhere_else(wanted: str) -> None:
    assert local_path(wanted) == "/"


def test_a_login_leads_on(node: Node, anonymous: httpx.Client) -> None:
    add_user(node, "anna", Role.VIEWER)
    for wanted, place in (("/jobs/1?x=1", "/jobs/1?x=1"), ("//evil.example", "/")):
        data = {"name": "anna", "password": PASSWORD, "next": wanted}
        assert anonymous.post("/login", data=data).headers["location"] == place
        anonymous.cookies.clear()


def test_a_hash_of_old_is_made_anew(node: Node, anonymous: httpx.Client) -> None:
    account_id = add_user(node, "anna", Role.VIEWER)
    old = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    with node.database.write() as session:
        session.get_one(AccountRow, account_id).password_hash = old
    assert log_in(anonymous, "anna").status_code == 303
    with node.database.read() as session:
        fresh = str(session.get_one(AccountRow, account_id).password_hash)
    assert fresh.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert passwords.fits(fresh, PASSWORD)


def test_sessions_end(
    make_node: Callable[[str], Node], client_of: Callable[[Node], httpx.Client]
) -> None:
    node = make_node("worklist: {session_hours: 2, idle_minutes: 10}\n")
    client = client_of(node)
    for column, minutes in ((WebSessionRow.seen_at, 10), (WebSessionRow.created_at, 120)):
        for ago, status in ((minutes - 1, 200), (minutes, 303)):
            let_in(client, node, "admin", Role.ADMIN)
            with node.database.write() as session:
                moment = now() - timedelta(minutes=ago)
                session.execute(update(WebSessionRow).values({column.key: moment}))
            assert client.get("/").status_code == status
    with node.database.read() as session:
        assert len(session.scalars(select(WebSessionRow)).all()) == 2  # a login clears the expired


def test_a_session_is_kept_by_a_person_only(node: Node, client: httpx.Client) -> None:
    """A page that asks for news by itself must not keep the login of somebody who has left."""

    def seen_after(**headers: str) -> bool:
        before = now() - timedelta(minutes=5)
        with node.database.write() as session:
            session.execute(update(WebSessionRow).values(seen_at=before))
        client.get("/", headers=headers)
        with node.database.read() as session:
            return session.scalars(select(WebSessionRow.seen_at)).one() > before

    assert seen_after()
    assert not seen_after(Accept="text/event-stream")


# --- throttling --------------------------------------------------------------------------------


def test_failures_make_the_next_login_wait(node: Node, anonymous: httpx.Client) -> None:
    add_user(node, "anna", Role.VIEWER)
    add_user(node, "bob", Role.VIEWER)
    for _ in range(throttle.BY_NAME.free):
        assert log_in(anonymous, "anna", "a wrong password").status_code == 401
    answer = log_in(anonymous, "ANNA")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert SESSION not in anonymous.cookies
    assert log_in(anonymous, "bob").status_code == 303
    with node.database.write() as session:
        session.execute(update(LoginFailureRow).values(blocked_until=now()))
    assert log_in(anonymous, "anna").status_code == 303
    with node.database.read() as session:
        assert throttle.name_key("anna") not in set(session.scalars(select(LoginFailureRow.key)))


def test_pauses_grow_by_name_and_by_address(node: Node) -> None:
    def waits(name: str, address: str) -> float:
        with node.database.write() as session:
            found = throttle.admit(session, name, address)
            session.execute(update(LoginFailureRow).values(blocked_until=now()))
            return found

    def pause(key: str) -> float:
        with node.database.write() as session:
            row = session.get_one(LoginFailureRow, key)
            return (row.blocked_until - row.last_at).total_seconds()

    grown = []
    for _ in range(13):
        with node.database.write() as session:
            assert throttle.admit(session, "nobody", HOST) == 0
        grown.append(pause(throttle.name_key("Nobody")))
        with node.database.write() as session:
            session.execute(update(LoginFailureRow).values(blocked_until=now()))
    assert grown == [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60]
    for number in range(7):
        waits(f"name {number}", HOST)
    with node.database.write() as session:
        assert throttle.admit(session, "another name", HOST) == 0
    with node.database.write() as session:
        assert throttle.admit(session, "one more", HOST) > 0
        assert throttle.admit(session, "one more", "192.0.2.7") == 0


def test_an_ipv6_network_is_one_address() -> None:
    assert throttle.address_key("2001:db8::1") == throttle.address_key("2001:db8::ffff:2")
    assert throttle.address_key("2001:db8:0:1::1") != throttle.address_key("2001:db8::1")
    assert throttle.address_key("::ffff:192.0.2.7") == throttle.address_key("192.0.2.7")


def test_a_success_does_not_wash_an_address(node: Node) -> None:
    """Whoever has a login of their own must not guess those of others the faster for it."""
    for number in range(throttle.BY_ADDRESS.free):
        with node.database.write() as session:
            throttle.admit(session, f"name {number}", HOST)
            throttle.succeeded(session, "own", HOST) if number % 2 else None
    with node.database.read() as session:
        failures = session.get_one(LoginFailureRow, throttle.address_key(HOST)).failures
    assert failures == throttle.BY_ADDRESS.free // 2


# --- forms from elsewhere ----------------------------------------------------------------------


def test_a_form_of_another_origin(client: httpx.Client) -> None:
    """Even with the token; and nobody is logged in by another page as somebody else."""
    data = {"name": "admin", "password": PASSWORD}
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": f"http://{HOST}:1"},
        {"Origin": str(client.base_url).replace("http:", "https:").rstrip("/")},
        {"Origin": "not an origin"},
        {"Origin": "http://[::1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "made up"},
    ):
        for path in ("/logout", "/login"):
            answer = client.post(path, data=data, headers=headers)
            assert answer.status_code == 403
            assert "another origin" in answer.text


def test_a_form_of_our_own(client: httpx.Client) -> None:
    origin = str(client.base_url).rstrip("/")
    headers = {"Origin": origin, "Sec-Fetch-Site": "same-origin"}
    assert client.post("/logout", headers=headers).status_code == 303


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "QUERY"])
def test_without_the_token_nothing_is_done(client: httpx.Client, method: str) -> None:
    right = client.headers.pop(FORM_HEADER)
    for headers in ({}, {FORM_HEADER: ""}, {FORM_HEADER: "0" * 64}, {FORM_HEADER: "ä".encode()}):
        for path in ("/logout", "/", "/no/such/page"):
            answer = client.request(method, path, headers=headers)  # type: ignore[arg-type]
            assert answer.status_code == 403
            assert "out of date" in answer.text
    assert client.get("/").status_code == 200
    assert client.post("/logout", headers={FORM_HEADER: right}).status_code == 303


def test_the_token_in_a_form_and_beside_files(client: httpx.Client) -> None:
    """What the guard reads of a form, the page still gets; the token stands before the files."""
    token = client.headers.pop(FORM_HEADER)
    form = {"csrf_token": token, "name": "bob", "role": "viewer"}
    secret = {"password": "a long enough one", "again": "a long enough one"}
    assert client.post("/users", data=form | secret).status_code == 303
    files = [(key, (None, value)) for key, value in (form | secret | {"name": "eve"}).items()]
    assert client.post("/users", files=files).status_code == 303
    text = client.get("/users").text
    assert ">bob</span>" in text
    assert ">eve</span>" in text
    late = {"file": ("x", b"x" * 70_000), "csrf_token": (None, token.encode())}
    assert client.post("/users", files=late).status_code == 403
    assert client.post("/users", files=[("csrf_token", (None, "x")), *files]).status_code == 403
    assert client.post("/users", data=form | {"name": "x" * (1 << 20)}).status_code == 413
    header = {"Content-Type": "multipart/form-data; boundary=b"}
    assert client.post("/users", content=b"--b\r\nbroken", headers=header).status_code == 403


def test_a_token_is_of_its_session(node: Node, anonymous: httpx.Client) -> None:
    let_in(anonymous, node, "anna", Role.VIEWER)
    annas = anonymous.headers[FORM_HEADER]
    let_in(anonymous, node, "bob", Role.VIEWER)
    assert anonymous.post("/logout", headers={FORM_HEADER: annas}).status_code == 403


def test_somebody_unknown_cannot_send_much(anonymous: httpx.Client) -> None:
    data = {"name": "x" * 70_000, "password": "x"}
    assert anonymous.post("/login", data=data).status_code == 400
    headers = {"Content-Type": FORM}
    chunks = (b"name=" + b"x" * 10_000 for _ in range(10))
    assert anonymous.post("/login", content=chunks, headers=headers).status_code == 400


def test_nobody_can_send_more_than_is_asked_for(client_as: Callable[[str], httpx.Client]) -> None:
    """A body is read before the role is asked for: it would fill the memory, or the disk."""
    viewer = client_as("viewer")
    declared = viewer.post("/api/jobs/1/notes", content=b" " * (LARGEST_BYTES + 1))
    assert declared.status_code == 413
    headers = {"Content-Type": "application/json"}
    chunks = (b" " * (1 << 20) for _ in range(6))
    answer = viewer.post("/api/jobs/1/notes", content=chunks, headers=headers)
    assert answer.status_code == 400
    assert viewer.post("/upload", content=b" " * (LARGEST_BYTES + 1)).status_code == 403


# --- roles -------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_a_role_too_low(client_as: Callable[[str], httpx.Client], role: str) -> None:
    client = client_as(role)
    assert client.get("/").status_code == 200
    assert 'href="/users"' not in client.get("/").text
    for answer in (client.get("/users"), client.get("/audit"), client.post("/users")):
        assert answer.status_code == 403
        assert f"This takes the role admin; yours is {role}." in answer.text


def test_a_role_changes_at_once(node: Node, client_as: Callable[[str], httpx.Client]) -> None:
    add_user(node, "other", Role.ADMIN)
    client = client_as("admin")
    assert client.get("/users").status_code == 200
    with node.database.write() as session:
        account = accounts.named(session, "admin")
        accounts.set_role(session, account, Role.VIEWER, actor="test")
    assert client.get("/users").status_code == 403
    with node.database.write() as session:
        accounts.disable(session, accounts.named(session, "admin"), actor="test")
    assert client.get("/").status_code == 303


def test_the_open_paths_are_few() -> None:
    """Each one is a decision: whoever adds one says here, and in the guard, why."""
    assert {
        "/login",
        "/login/provider",
        "/login/provider/return",
        "/healthz",
        "/readyz",
        "/metrics",
    } == OPEN_PATHS


def test_a_login_over_tls_has_a_cookie_of_this_host_only(
    make_node: Callable[[str], Node], client_of: Callable[[Node], httpx.Client]
) -> None:
    node = make_node("worklist: {behind_proxy: true, hosts: [worklist.example.org]}\n")
    client = client_of(node)
    client.cookies.clear()
    through = {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "worklist.example.org",
        "X-Forwarded-For": "198.51.100.1, 192.0.2.9",
    }
    origin = {"Origin": "https://worklist.example.org"}
    data = {"name": "admin", "password": PASSWORD}
    answer = client.post("/login", data=data, headers=through | origin)
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-worklist_session=")
    assert "; Secure" in cookie
    with node.database.read() as session:
        detail = session.scalars(select(AuditRow.detail).where(AuditRow.action == "login")).one()
    assert detail == "from 192.0.2.9"
    evil = through | {"X-Forwarded-Host": "evil.example"}
    assert client.get("/login", headers=evil).status_code == 400


def test_what_a_browser_forwards_is_not_believed(node: Node, anonymous: httpx.Client) -> None:
    add_user(node, "anna", Role.VIEWER)
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.9"}
    data = {"name": "anna", "password": PASSWORD}
    answer = anonymous.post("/login", data=data, headers=headers)
    assert answer.headers["set-cookie"].startswith("worklist_session=")
    with node.database.read() as session:
        assert session.scalars(select(AuditRow.detail)).all()[-1] == f"from {HOST}"


def test_without_a_database_the_door_stays_shut(make_node: Callable[[str], Node]) -> None:
    with served(create_app(make_node(""))) as client:
        client.cookies.set(SESSION, "any", domain=HOST)
        assert client.get("/jobs/1").status_code == 503
        client.headers["Authorization"] = "Bearer any"
        assert client.get("/jobs/1").status_code == 503
        assert "cannot be read" in client.get("/api/jobs").json()["detail"]


def test_a_database_that_takes_nothing_can_be_read(node: Node, client: httpx.Client) -> None:
    """As on a full disk, when the moment of last use cannot be written."""
    with node.database.write() as session:
        session.execute(update(WebSessionRow).values(seen_at=now() - timedelta(minutes=5)))
        words = (
            "CREATE TRIGGER full BEFORE UPDATE ON web_session BEGIN SELECT RAISE(ABORT, ''); END"
        )
        session.execute(text(words))
    assert client.get("/").status_code == 200


def test_an_error_has_its_own_words(client: httpx.Client) -> None:
    assert "There is no order" in client.get("/live?sort=x").text
    assert client.get("/api/nothing").json()["detail"] == "There is no such page."
