"""``python -m worklist --config FILE``: serve the pages until SIGTERM or Ctrl-C."""

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

from dicom_node import log as node_log
from dicom_node.config import WorklistSection, config_path, load_config
from dicom_node.errors import ConfigError, NodeError
from dicom_node.node import Node
from worklist.app import create_app

log = structlog.get_logger()

GRACE_SECONDS: Final = 5
"""How long a stopping server waits for answers in hand."""


def main(arguments: list[str] | None = None) -> int:
    """Serve the pages; an error of ours ends it with one line and its exit code."""
    node_log.configure()
    given = _parser().parse_args(arguments)
    try:
        serve(config_path(given.config))
    except NodeError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - the command's answer
        return error.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m worklist",
        description="Serve the worklist page over the node's jobs, on the loopback address.",
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="the configuration file; else $DICOM_NODE_CONFIG, else config.yaml",
    )
    return parser


def serve(config_file: Path) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises
    ------
    ConfigError
        If the file cannot be used, or ``worklist.host`` is not a loopback address.
    NodeError
        If the port is taken.
    """
    config = load_config(config_file)
    if config.log.file:
        node_log.keep(config.log_folder, "worklist", config.log.megabytes, config.log.files)
    with open_socket(config.worklist) as listening:
        node = Node.of(config)
        try:
            _run(create_app(node), listening)
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
    # uvicorn raises the signal again when it has stopped; asked to stop, we end with 0.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: setattr(server, "should_exit", True))
    host, port = listening.getsockname()[:2]
    log.info("worklist served", host=host, port=port)
    server.run(sockets=[listening])
    log.info("worklist stopped")


def open_socket(section: WorklistSection) -> socket.socket:
    """Listen where the configuration says, if that is a loopback address.

    Raises
    ------
    ConfigError
        If it is not, or is no address at all.
    NodeError
        If the port is taken.
    """
    family, address = loopback_address(section.host, section.port)
    try:
        return socket.create_server(address, family=family)
    except OSError as error:
        why = os.strerror(error.errno or 0)
        msg = f"worklist: cannot listen on {section.host}, port {section.port}: {why}"
        raise NodeError(msg) from error


def loopback_address(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    """Return the family and address of a host that only this machine can reach.

    Raises
    ------
    ConfigError
        If it cannot be resolved, or any of its addresses is not a loopback address.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        msg = f"worklist.host: {host!r} is no address of this machine"
        raise ConfigError(msg) from error
    if not all(ipaddress.ip_address(entry[4][0]).is_loopback for entry in found):
        msg = (
            f"worklist.host: {host} is not a loopback address; the page has no logins yet and "
            "must not be reached from other machines: use 127.0.0.1"
        )
        raise ConfigError(msg)
    family, address = found[0][0], found[0][4]
    return family, (str(address[0]), port)


if __name__ == "__main__":
    sys.exit(main())
