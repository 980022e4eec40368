"""``python -m worklist --config FILE``: serve the pages until SIGTERM or Ctrl-C; users; a seed."""

from __future__ import annotations

import argparse
import ipaddress
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Final

import structlog
import uvicorn
from fastapi import FastAPI
from sqlalchemy.exc import SQLAlchemyError

from dicom_node import log as node_log
from dicom_node.config import WorklistSection, config_path, load_config
from dicom_node.db import Database
from dicom_node.errors import ConfigError, NodeError
from dicom_node.node import Node
from worklist import accounts, seed, users_command
from worklist.app import create_app

log = structlog.get_logger()

GRACE_SECONDS: Final = 5
"""How long a stopping server waits for answers in hand."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command, with logs as the node writes them."""
    node_log.configure()
    return run_command(arguments)


def run_command(arguments: list[str] | None) -> int:
    """Run a command; an error of ours ends it with one line and its exit code."""
    given = _parser().parse_args(arguments)
    try:
        config_file = config_path(given.config)
        if given.run is None:
            serve(config_file)
        elif given.run is seed.run:
            seed.run(config_file, given)
        else:
            _manage(config_file, given)
    except NodeError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - the command's answer
        return error.exit_code
    except SQLAlchemyError as error:
        text = f"the database cannot be used ({type(error).__name__}); try `db upgrade`"
        print(f"error: {text}", file=sys.stderr)  # noqa: T201 - the command's answer
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    # Before or after the command, and the one after it does not undo the one before it.
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    text = "the configuration file; else $DICOM_NODE_CONFIG, else config.yaml"
    common.add_argument("--config", type=Path, metavar="FILE", help=text)
    parser = argparse.ArgumentParser(
        prog="python -m worklist",
        description="Serve the worklist page over the node's jobs, and manage who may use it.",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help=text)
    parser.set_defaults(run=None)
    parts = parser.add_subparsers(title="commands", metavar="COMMAND")
    parts.add_parser("serve", help="serve the page; done without a command, too", parents=[common])
    users_command.add_parsers(parts, common)
    seed.add_parser(parts, common)
    return parser


def _manage(config_file: Path, given: argparse.Namespace) -> None:
    """Run a command on the database."""
    database = Database(load_config(config_file).database_url)
    try:
        given.run(database, given)
    finally:
        database.dispose()


def serve(config_file: Path) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises
    ------
    ConfigError
        If the file cannot be used, or ``worklist.host`` can be reached from elsewhere while
        nobody can log in.
    NodeError
        If the port is taken.
    """
    config = load_config(config_file)
    if config.log.file:
        node_log.keep(config.log_folder, "worklist", config.log.megabytes, config.log.files)
    if config.worklist.oidc is not None:
        _ = config.worklist.oidc.client_secret  # missing: said now, not to the first who logs in
    node = Node.of(config)
    try:
        with open_socket(config.worklist, anywhere=someone_can_log_in(node)) as listening:
            app = create_app(node)
            app.state.config_file = config_file.resolve()
            _run(app, listening)
    finally:
        node.close()


def _run(app: FastAPI, listening: socket.socket) -> None:
    """Run uvicorn on a socket."""
    # What a page raises is logged by the application, once and without its text.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )
    app.state.stopping = lambda: server.should_exit  # open streams end then
    # uvicorn raises the signal again when it has stopped; asked to stop, we end with 0.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: setattr(server, "should_exit", True))
    host, port = listening.getsockname()[:2]
    log.info("worklist served", host=host, port=port)
    server.run(sockets=[listening])
    log.info("worklist stopped")


def someone_can_log_in(node: Node) -> bool:
    """Return whether there is a user, or a provider that vouches for users."""
    if node.config.worklist.oidc is not None:
        return True
    try:
        with node.database.read() as session:
            return accounts.exist(session)
    except SQLAlchemyError:  # no tables yet: nobody
        return False


def open_socket(section: WorklistSection, *, anywhere: bool = False) -> socket.socket:
    """Listen where the configuration says; ``anywhere``: not only on a loopback address.

    Raises
    ------
    ConfigError
        If it may not be there, or is no address at all.
    NodeError
        If the port is taken.
    """
    find = address_of if anywhere else loopback_address
    family, address = find(section.host, section.port)
    try:
        listening = socket.create_server(address, family=family)
        # Accepted sockets inherit it. Without, an answer's last piece waits 40 ms for the
        # browser's acknowledgement: asyncio sets it only on sockets made with a protocol's number.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        why = os.strerror(error.errno or 0)
        msg = f"worklist: cannot listen on {section.host}, port {section.port}: {why}"
        raise NodeError(msg) from error
    return listening


def loopback_address(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    """Return the family and address of a host that only this machine can reach.

    Raises
    ------
    ConfigError
        If it cannot be resolved, or any of its addresses is not a loopback address.
    """
    if not all(ipaddress.ip_address(one).is_loopback for _, one in _resolved(host, port)):
        msg = (
            f"worklist.host: {host} is not a loopback address, and nobody can log in yet: make the "
            "first user by `python -m worklist users add NAME --role admin`, or set worklist.oidc"
        )
        raise ConfigError(msg)
    return address_of(host, port)


def address_of(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    """Return the family and address of a host.

    Raises
    ------
    ConfigError
        If it cannot be resolved.
    """
    family, address = _resolved(host, port)[0]
    return family, (address, port)


def _resolved(host: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
    """Return the families and addresses of a host."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        msg = f"worklist.host: {host!r} is no address of this machine"
        raise ConfigError(msg) from error
    return [(entry[0], str(entry[4][0])) for entry in found]


if __name__ == "__main__":
    sys.exit(main())
