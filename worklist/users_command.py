"""``python -m worklist users …`` and ``tokens …``: the same as the pages, and the first admin."""

from __future__ import annotations

import getpass
import json
import sys
from typing import TYPE_CHECKING, Any

from worklist import accounts, passwords, tokens
from worklist.access import ROLE_WORDS, Role
from worklist.passwords import PasswordError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from dicom_node.db import AccountRow, ApiTokenRow, Database

    Command = Callable[[Database, argparse.Namespace], None]


def add_parsers(parts: Any, common: argparse.ArgumentParser) -> None:  # noqa: ANN401 - private there
    """Add the commands to those of ``python -m worklist``."""
    users = parts.add_parser("users", help="who may log in").add_subparsers(required=True)
    tokens_ = parts.add_parser("tokens", help="API tokens").add_subparsers(required=True)

    def command(group: Any, name: str, run: Command, text: str) -> argparse.ArgumentParser:  # noqa: ANN401
        parser: argparse.ArgumentParser = group.add_parser(
            name, help=text, description=text, parents=[common]
        )
        parser.set_defaults(run=run)
        return parser

    add = command(users, "add", add_user, "Add a user; the password is asked for.")
    add.add_argument("name", metavar="NAME")
    add.add_argument("--role", choices=ROLE_WORDS, required=True)
    _ask_by_stdin(add)
    listing = command(users, "list", list_users, "List the users.")
    listing.add_argument("--json", action="store_true", dest="as_json")
    role = command(users, "set-role", set_role, "Give a user another role.")
    role.add_argument("name", metavar="NAME")
    role.add_argument("role", choices=ROLE_WORDS)
    password = command(users, "set-password", set_password, "Give a user another password.")
    password.add_argument("name", metavar="NAME")
    _ask_by_stdin(password)
    for name, run, text in (
        ("disable", disable_user, "Keep a user out: logins end, API tokens are revoked."),
        ("enable", enable_user, "Let a user in again."),
    ):
        command(users, name, run, text).add_argument("name", metavar="NAME")

    make = command(tokens_, "add", add_token, "Make an API token and print it, this once.")
    make.add_argument("name", metavar="USER")
    make.add_argument("--for", dest="purpose", required=True, metavar="PURPOSE", help="its name")
    make.add_argument("--role", choices=ROLE_WORDS, default=Role.VIEWER.word)
    make.add_argument("--days", type=int, default=90, help="how long it is valid")
    shown = command(tokens_, "list", list_tokens, "List a user's API tokens.")
    shown.add_argument("name", metavar="USER")
    shown.add_argument("--json", action="store_true", dest="as_json")
    gone = command(tokens_, "revoke", revoke_token, "Revoke an API token.")
    gone.add_argument("name", metavar="USER")
    gone.add_argument("token", type=int, metavar="TOKEN", help="its number, as `list` shows it")


def _ask_by_stdin(parser: argparse.ArgumentParser) -> None:
    """Add the other way to give a password: an argument would stand in the list of processes."""
    parser.add_argument(
        "--password-stdin", action="store_true", help="read the password from one line of stdin"
    )


def actor() -> str:
    """Return whom events and the audit name for what is done by a command."""
    return f"{getpass.getuser()} (command line)"


def ask_password(name: str, *, by_stdin: bool) -> str:
    """Return a new password: typed twice, or one line of standard input.

    Raises
    ------
    PasswordError
        If it may not be one, or the two differ.
    """
    if by_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
        passwords.check(password, name)
        return password
    if not sys.stdin.isatty():
        msg = "there is no terminal to ask for a password on; use --password-stdin"
        raise PasswordError(msg)
    try:
        password = getpass.getpass(f"Password for {name}: ")
        passwords.check(password, name)
        if getpass.getpass("Again: ") != password:
            msg = "the two passwords differ"
            raise PasswordError(msg)
    except (EOFError, KeyboardInterrupt):
        msg = "no password was given"
        raise PasswordError(msg) from None
    return password


def add_user(database: Database, given: argparse.Namespace) -> None:
    """Add a user."""
    accounts.check_name(given.name)
    with database.read() as session:
        if accounts.found(session, given.name) is not None:
            msg = "a user of this name exists"
            raise accounts.AccountError(msg)
    fresh = passwords.hashed(ask_password(given.name, by_stdin=given.password_stdin), given.name)
    with database.write() as session:
        accounts.add(session, given.name, Role.of(given.role), fresh, actor=actor())


def set_role(database: Database, given: argparse.Namespace) -> None:
    """Give a user another role."""
    with database.write() as session:
        account = accounts.named(session, given.name)
        accounts.set_role(session, account, Role.of(given.role), actor=actor())


def set_password(database: Database, given: argparse.Namespace) -> None:
    """Give a user another password."""
    with database.read() as session:
        name = accounts.named(session, given.name).name
    fresh = passwords.hashed(ask_password(name, by_stdin=given.password_stdin), name)
    with database.write() as session:
        accounts.set_password(session, accounts.named(session, name), fresh, actor=actor())


def disable_user(database: Database, given: argparse.Namespace) -> None:
    """Keep a user out."""
    with database.write() as session:
        accounts.disable(session, accounts.named(session, given.name), actor=actor())


def enable_user(database: Database, given: argparse.Namespace) -> None:
    """Let a user in again."""
    with database.write() as session:
        accounts.enable(session, accounts.named(session, given.name), actor=actor())


def list_users(database: Database, given: argparse.Namespace) -> None:
    """Print the users."""
    with database.read() as session:
        rows = [_user_values(account) for account in accounts.listed(session)]
    _print(rows, as_json=given.as_json)


def add_token(database: Database, given: argparse.Namespace) -> None:
    """Print a new token, alone on its line."""
    wanted = tokens.NewToken(given.purpose, Role.of(given.role), given.days)
    with database.write() as session:
        account = accounts.named(session, given.name)
        _, secret = tokens.create(session, account, wanted, actor=actor())
    print(secret)  # noqa: T201 - the command's answer


def list_tokens(database: Database, given: argparse.Namespace) -> None:
    """Print a user's tokens."""
    with database.read() as session:
        account = accounts.named(session, given.name)
        rows = [_token_values(token) for token in tokens.listed(session, account.id)]
    _print(rows, as_json=given.as_json)


def revoke_token(database: Database, given: argparse.Namespace) -> None:
    """Revoke a token."""
    with database.write() as session:
        account = accounts.named(session, given.name)
        tokens.revoke(session, account, given.token, actor=actor())


def _user_values(account: AccountRow) -> dict[str, Any]:
    return {
        "name": account.name,
        "role": account.role,
        "disabled": account.disabled_at is not None,
        "login": "provider" if account.issuer else "password",
        "created_at": _moment(account.created_at),
        "last_login_at": _moment(account.last_login_at),
    }


def _token_values(token: ApiTokenRow) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "role": token.role,
        "created_at": _moment(token.created_at),
        "expires_at": _moment(token.expires_at),
        "last_used_at": _moment(token.last_used_at),
        "revoked_at": _moment(token.revoked_at),
    }


def _moment(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat(timespec="seconds")


def _print(rows: Iterable[dict[str, Any]], *, as_json: bool) -> None:
    """Print rows as JSON, or as lines of words."""
    if as_json:
        print(json.dumps(list(rows), indent=2))  # noqa: T201 - the command's answer
        return
    for row in rows:
        words = [f"{key} {value}" for key, value in row.items() if value not in {None, False}]
        print("  ".join(words))  # noqa: T201 - the command's answer
