"""Users and their API tokens: by commands, on the pages; and what the audit keeps of it."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from sqlalchemy import select, update

from dicom_node import audit
from dicom_node.db import AccountRow, ApiTokenRow, AuditRow, now
from tests.web.conftest import FORM_HEADER, PASSWORD, add_user, let_in, log_in
from worklist import __main__ as command
from worklist import accounts, passwords, tokens
from worklist.access import Role
from worklist.accounts import AccountError, LastAdminError
from worklist.audit_page import PAGE_SIZE
from worklist.cookies import SESSION
from worklist.passwords import PasswordError
from worklist.tokens import NewToken

if TYPE_CHECKING:
    from collections.abc import Callable

    from dicom_node.node import Node

PROJECT = Path(__file__).resolve().parents[2]
NEW = "another long password"
EVERYWHERE = "0.0.0.0"  # noqa: S104 - where the page may be once somebody can log in


def run(node: Node, *words: str) -> int:
    """Run a command as ``python -m worklist`` does."""
    return command.run_command(
        [*words, "--config", str(node.config.data_directory / "config.yaml")]
    )


def actions(node: Node) -> list[tuple[str, str]]:
    with node.database.read() as session:
        rows = session.scalars(select(AuditRow).order_by(AuditRow.id)).all()
    return [(row.action, f"{row.subject}: {row.detail}".removesuffix(": ")) for row in rows]


# --- passwords and names -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("elevenchars", "at least 12"),
        ("", "at least 12"),
        ("Annas-Very-Long-Name", "not be the user's name"),
        ("x" * 257, "at most 256"),
    ],
)
def test_a_password_that_cannot_be(password: str, why: str) -> None:
    with pytest.raises(PasswordError, match=why):
        passwords.check(password, "annas-very-LONG-name")


def test_a_password_is_kept_as_argon2id() -> None:
    stored = passwords.hashed("pässwörter sind lang", "anna")
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert passwords.fits(stored, "pa\u0308sswo\u0308rter sind lang")  # as another keyboard has it
    assert not passwords.fits(stored, "passwörter sind lang")
    assert not passwords.fits(None, "pässwörter sind lang")
    assert not passwords.fits(stored, "\ud800")
    assert not passwords.is_outdated(passwords.NOBODYS)  # an unknown name costs the same


@pytest.mark.parametrize(
    "name", ["", "two words", "x" * 65, "a\n", "node", "LOCAL", "a/b", ".a", "<b>"]
)
def test_a_name_that_cannot_be(node: Node, name: str) -> None:
    with node.database.write() as session, pytest.raises(AccountError, match="a name has"):
        accounts.add(session, name, Role.VIEWER, "hash", actor="test")


def test_names_without_case(node: Node) -> None:
    add_user(node, "Straße", Role.VIEWER)
    with node.database.write() as session:
        assert accounts.named(session, "STRASSE").name == "Straße"
        with pytest.raises(AccountError, match="exists"):
            accounts.add(session, "strasse", Role.VIEWER, "hash", actor="test")


# --- the command -------------------------------------------------------------------------------


def test_the_first_admin_by_a_terminal(node: Node) -> None:
    """The password is asked twice and not shown; no argument holds it."""
    file = node.config.data_directory / "config.yaml"
    words = [sys.executable, "-m", "worklist", "users", "add", "Anna", "--role", "admin"]
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*words, "--config", str(file)],
        cwd=PROJECT,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    for prompt in (b"Password for Anna: ", b"Again: "):
        while prompt not in shown:
            shown += os.read(ours, 1024)
        os.write(ours, f"{PASSWORD}\n".encode())
    assert process.wait(60) == 0
    os.close(ours)
    assert PASSWORD.encode() not in shown
    with node.database.read() as session:
        anna = accounts.named(session, "anna")
    assert anna.role == "admin"
    assert passwords.fits(anna.password_hash, PASSWORD)
    assert re.fullmatch(r"user Anna: as admin", actions(node)[0][1])


def test_users_by_commands(
    node: Node, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def typed(text: str) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO(text))

    def error() -> str:
        return capsys.readouterr().err

    typed(f"{PASSWORD}\n")
    assert run(node, "users", "add", "anna", "--role", "admin", "--password-stdin") == 0
    typed("short\n")
    assert run(node, "users", "add", "bob", "--role", "viewer", "--password-stdin") == 2
    assert error() == "error: a password has at least 12 characters\n"
    typed(f"{NEW}\n")
    assert run(node, "users", "add", "bob", "--role", "viewer") == 2
    assert "use --password-stdin" in error()
    assert run(node, "users", "add", "bob", "--role", "viewer", "--password-stdin") == 0
    assert run(node, "users", "add", "ANNA", "--role", "viewer", "--password-stdin") == 2
    assert "exists" in error()
    assert run(node, "users", "set-role", "bob", "operator") == 0
    assert run(node, "users", "set-role", "anna", "viewer") == 5
    assert error() == "error: this is the last admin; make another one first\n"
    assert run(node, "users", "disable", "anna") == 5
    assert run(node, "users", "disable", "nobody") == 4
    typed(f"{NEW} 2\n")
    assert run(node, "users", "set-password", "bob", "--password-stdin") == 0
    assert run(node, "users", "disable", "bob") == 0
    capsys.readouterr()
    assert run(node, "users", "list", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert [(one["name"], one["role"], one["disabled"]) for one in listed] == [
        ("anna", "admin", False),
        ("bob", "operator", True),
    ]
    assert run(node, "users", "enable", "bob") == 0
    assert run(node, "users", "list") == 0
    assert re.match(
        r"name anna  role admin  login password  created_at 20", capsys.readouterr().out
    )
    assert [action for action, _ in actions(node)] == [
        *("user added", "user added", "role changed", "password changed", "user disabled"),
        "user enabled",
    ]
    assert "argon2" not in json.dumps(actions(node))


def test_tokens_by_commands(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    add_user(node, "anna", Role.OPERATOR)
    words = ["tokens", "add", "anna", "--for", "monitor"]
    assert run(node, *words, "--role", "admin") == 2
    assert run(node, *words, "--days", "0") == 2
    capsys.readouterr()
    assert run(node, *words, "--role", "operator", "--days", "7") == 0
    secret = capsys.readouterr().out.strip()
    with node.database.read() as session:
        caller = tokens.find(session, secret)
    assert caller is not None
    assert caller.user.role == Role.OPERATOR
    assert run(node, "tokens", "list", "anna", "--json") == 0
    [listed] = json.loads(capsys.readouterr().out)
    assert (listed["name"], listed["role"], listed["revoked_at"]) == ("monitor", "operator", None)
    assert run(node, "tokens", "revoke", "anna", "99") == 2
    assert run(node, "tokens", "revoke", "anna", str(listed["id"])) == 0
    with node.database.read() as session:
        assert tokens.find(session, secret) is None


def test_without_tables_a_command_says_so(
    make_node: Callable[[str], Node], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(make_node(""), "users", "list") == 1
    assert "try `db upgrade`" in capsys.readouterr().err


def test_the_page_is_for_others_once_somebody_can_log_in(make_node: Callable[[str], Node]) -> None:
    node = make_node("")
    assert not command.someone_can_log_in(node)  # no tables
    from dicom_node import migrations

    migrations.upgrade(node.config)
    assert not command.someone_can_log_in(node)
    add_user(node, "anna", Role.ADMIN)
    assert command.someone_can_log_in(node)
    section = node.config.worklist.model_copy(update={"host": EVERYWHERE, "port": 0})
    with command.open_socket(section, anywhere=True) as listening:
        assert listening.getsockname()[0] == EVERYWHERE


# --- the pages ---------------------------------------------------------------------------------


def test_an_admin_manages_users(node: Node, client: httpx.Client) -> None:
    form = {"name": "bob", "role": "viewer", "password": NEW, "again": NEW}
    assert client.post("/users", data=form).status_code == 303
    for wrong, why in (
        ({}, "A user of this name exists."),
        ({"name": "eve", "again": "x"}, "The passwords differ."),
        ({"name": "eve", "password": "short", "again": "short"}, "at least 12 characters"),
        ({"name": "eve", "role": "root"}, "There is no such role."),
        ({"name": "e e"}, "A name has 1 to 64"),
    ):
        answer = client.post("/users", data=form | wrong)
        assert (answer.status_code, why in answer.text) == (400, True), why
    with node.database.read() as session:
        bob, admin = (accounts.named(session, name).id for name in ("bob", "admin"))
    assert client.post(f"/users/{bob}/role", data={"role": "operator"}).status_code == 303
    for path, data in (
        (f"/users/{admin}/role", {"role": "viewer"}),
        (f"/users/{admin}/disable", {}),
    ):
        answer = client.post(path, data=data)
        assert (answer.status_code, "This is the last admin" in answer.text) == (400, True)
    assert client.post("/users/999/disable").status_code == 400
    assert client.post(f"/users/{2**63}/disable").status_code == 400
    assert client.post(f"/account/tokens/{2**63}/revoke").status_code == 404
    other = {"password": NEW + "!", "again": NEW + "!"}
    assert client.post(f"/users/{bob}/password", data=other).status_code == 303
    assert client.post(f"/users/{bob}/disable").status_code == 303
    assert "disabled" in client.get("/users").text
    assert client.post(f"/users/{bob}/enable").status_code == 303
    told = [detail for _, detail in actions(node)]
    assert "user bob: from viewer to operator" in told
    assert NEW not in json.dumps(actions(node))


def test_one_changes_ones_own_password(node: Node, anonymous: httpx.Client) -> None:
    """The browser that did it stays logged in, by a new session; all others are out."""
    let_in(anonymous, node, "anna", Role.VIEWER)
    elsewhere = anonymous.cookies[SESSION]
    let_in(anonymous, node, "anna", Role.VIEWER)
    before = anonymous.cookies[SESSION]
    form = {"old": PASSWORD, "new": NEW, "again": NEW}
    for wrong, why in (
        ({"old": "x"}, "The old password is wrong."),
        ({"again": "x"}, "The new passwords differ."),
        ({"new": "short", "again": "short"}, "at least 12 characters"),
    ):
        answer = anonymous.post("/account/password", data=form | wrong)
        assert (answer.status_code, why in answer.text) == (400, True)
    assert anonymous.post("/account/password", data=form).status_code == 303
    assert anonymous.get("/account").status_code == 200
    after = [c.value for c in anonymous.cookies.jar][-1]
    assert after not in {before, elsewhere}
    for old in (before, elsewhere):
        with httpx.Client(base_url=anonymous.base_url, trust_env=False) as other:
            assert other.get("/", headers={"Cookie": f"{SESSION}={old}"}).status_code == 303
    anonymous.cookies.clear()
    assert log_in(anonymous, "anna").status_code == 401
    assert log_in(anonymous, "anna", NEW).status_code == 303


def test_a_token_of_ones_own(node: Node, anonymous: httpx.Client) -> None:
    let_in(anonymous, node, "anna", Role.OPERATOR)
    form = {"name": "monitor", "role": "operator", "days": "30"}
    for wrong in ({"role": "admin"}, {"role": "x"}, {"days": "0"}, {"days": "x"}, {"name": " "}):
        assert anonymous.post("/account/tokens", data=form | wrong).status_code == 400
    answer = anonymous.post("/account/tokens", data=form)
    assert answer.status_code == 201
    [secret] = re.findall(r">(boneage_[\w-]{43})</pre>", answer.text)
    assert secret not in anonymous.get("/account").text
    with node.database.read() as session:
        [row] = session.scalars(select(ApiTokenRow)).all()
    assert secret not in str(vars(row))
    with httpx.Client(base_url=anonymous.base_url, trust_env=False) as program:
        program.headers["Authorization"] = f"Bearer {secret}"
        assert program.get("/").status_code == 200
        assert program.post("/logout").status_code == 303  # no form, so no token of one
        assert program.get("/users").status_code == 403
        with node.database.write() as session:
            accounts.set_role(session, accounts.named(session, "anna"), Role.VIEWER, actor="test")
        assert "yours is viewer" in program.get("/users").text
        assert ">anna</a>" in program.get("/").text
        with node.database.write() as session:
            session.execute(update(ApiTokenRow).values(expires_at=now() - timedelta(seconds=1)))
        answer = program.get("/")
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert anonymous.post(f"/account/tokens/{row.id}/revoke").status_code == 303
    let_in(anonymous, node, "bob", Role.ADMIN)
    assert anonymous.post(f"/account/tokens/{row.id}/revoke").status_code == 404  # not bob's


def test_a_bad_authorization_is_nobody(node: Node, anonymous: httpx.Client) -> None:
    """Nor does it fall back on the cookie, whose check of forms it would then have passed by."""
    let_in(anonymous, node, "anna", Role.ADMIN)
    del anonymous.headers[FORM_HEADER]
    for value, status in (
        *(("Bearer x", 401), ("bearer x", 401), ("Bearer", 401), ("Bearer ä", 401)),
        *(("Basic YTpi", 403), ("Negotiate x", 403), ("", 403)),  # what a browser sends of itself
    ):
        headers = {"Authorization": value.encode()}
        answer = anonymous.post("/logout", headers=headers)  # type: ignore[arg-type]
        assert answer.status_code == status
    assert anonymous.get("/").status_code == 200


def test_disabling_revokes_tokens(node: Node) -> None:
    account_id = add_user(node, "anna", Role.VIEWER)
    with node.database.write() as session:
        anna = session.get_one(AccountRow, account_id)
        _, secret = tokens.create(session, anna, NewToken("x", Role.VIEWER, 1), actor="test")
        accounts.disable(session, anna, actor="test")
        accounts.enable(session, anna, actor="test")
    with node.database.read() as session:
        assert tokens.find(session, secret) is None


def test_two_last_admins(node: Node) -> None:
    for name in ("anna", "bob"):
        add_user(node, name, Role.ADMIN)
    with node.database.write() as session:
        accounts.disable(session, accounts.named(session, "anna"), actor="test")
    with node.database.write() as session, pytest.raises(LastAdminError):
        accounts.set_role(session, accounts.named(session, "bob"), Role.VIEWER, actor="test")


# --- the audit ---------------------------------------------------------------------------------


def test_the_audit_leads_through_all_entries(node: Node, client: httpx.Client) -> None:
    with node.database.write() as session:
        for number in range(PAGE_SIZE + 1):
            audit.note(session, f"user-{number % 2}", "looked", f"job {number}", "<b>&")
    page = client.get("/audit").text
    assert page.count("<li>") == PAGE_SIZE
    assert "<b>&" not in page.replace("<b>&amp;", "")
    [older] = re.findall(r'href="(/audit\?before=\d+)" rel="next"', page)
    assert "job 0" in client.get(older).text
    ours = client.get("/audit", params={"actor": "user-1"}).text
    assert "job 1:" in ours
    assert "job 2:" not in ours
    assert "There is no entry of nobody." in client.get("/audit?actor=nobody").text
    assert client.get("/audit?before=0").status_code == 400


# --- for programs ------------------------------------------------------------------------------


def test_users_tokens_and_the_audit_for_programs(client: httpx.Client) -> None:
    made = client.post("/api/users", json={"name": "bob", "role": "viewer", "password": NEW})
    assert made.status_code == 201
    bob = f"/api/users/{made.json()['id']}"
    for wrong in ({"name": "bob"}, {"name": "e e"}, {"name": "eve", "password": "short"}):
        form = {"name": "eve", "role": "viewer", "password": NEW} | wrong
        assert client.post("/api/users", json=form).status_code == 400
    assert client.patch(bob, json={"role": "operator", "disabled": True}).json()["disabled_at"]
    assert client.patch(bob, json={"password": NEW + "!", "disabled": False}).status_code == 200
    assert client.patch("/api/users/999", json={"disabled": True}).status_code == 404
    names = [(one["name"], one["role"]) for one in client.get("/api/users").json()]
    assert names == [("admin", "admin"), ("bob", "operator")]
    assert "password" not in client.get("/api/users").text
    token = client.post("/api/account/tokens", json={"name": "monitor"}).json()
    with httpx.Client(base_url=client.base_url, trust_env=False) as program:
        program.headers["Authorization"] = f"Bearer {token['secret']}"
        assert program.get("/api/users").json() == {
            "detail": "This takes the role admin; yours is viewer."
        }
        more = {"name": "more", "role": "operator"}
        assert program.post("/api/account/tokens", json=more).status_code == 400
        assert client.delete(f"/api/account/tokens/{token['id']}").json() == {"revoked": True}
        assert program.get("/api/account/tokens").status_code == 401
    assert client.delete("/api/account/tokens/999").status_code == 404
    assert [one["name"] for one in client.get("/api/account/tokens").json()] == ["monitor"]
    newest = client.get("/api/audit", params={"actor": "admin"}).json()[0]
    assert (newest["action"], newest["subject"]) == ("token revoked", f"token {token['id']}")
