"""Passwords: what they must be, and their argon2id hashes."""

from __future__ import annotations

import base64
import secrets
import threading
import unicodedata
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from dicom_node.errors import NodeError

LEAST_CHARACTERS: Final = 12
MOST_CHARACTERS: Final = 256
"""NIST SP 800-63B asks for 64 at least; a limit keeps a megabyte out of the hash."""

HASHER: Final = PasswordHasher()
"""argon2id with the second choice of RFC 9106: 3 passes over 64 MiB in 4 lanes."""

AT_ONCE: Final = threading.BoundedSemaphore(2)
"""Each hash takes 64 MiB: a crowd at the door must not fill the memory."""


class PasswordError(NodeError):
    """A password that cannot be; the text does not repeat it."""

    exit_code = 2


def check(password: str, name: str) -> None:
    """Check that a password may be one.

    Raises
    ------
    PasswordError
        If it is too short, too long, or the user's name.
    """
    plain = _plain(password)
    if len(plain) < LEAST_CHARACTERS:
        msg = f"a password has at least {LEAST_CHARACTERS} characters"
        raise PasswordError(msg)
    if len(plain) > MOST_CHARACTERS:
        msg = f"a password has at most {MOST_CHARACTERS} characters"
        raise PasswordError(msg)
    if plain.casefold() == _plain(name).casefold():
        msg = "a password must not be the user's name"
        raise PasswordError(msg)


def hashed(password: str, name: str) -> str:
    """Return the hash of a new password of a user; it takes a tenth of a second.

    Raises
    ------
    PasswordError
        If it may not be one.
    """
    check(password, name)
    with AT_ONCE:
        return HASHER.hash(_plain(password))


def fits(stored: str | None, password: str) -> bool:
    """Return whether a password is the one of a hash; without a hash it takes as long to say no."""
    plain = _plain(password[: MOST_CHARACTERS + 1])
    with AT_ONCE:
        try:
            HASHER.verify(stored or NOBODYS, plain)
        except (VerificationError, InvalidHashError):
            return False
    return stored is not None


def is_outdated(stored: str) -> bool:
    """Return whether a hash was made with other parameters than today's."""
    return HASHER.check_needs_rehash(stored)


def again(password: str) -> str:
    """Return a new hash of a password that has just fitted an old one."""
    with AT_ONCE:
        return HASHER.hash(_plain(password))


def _plain(text: str) -> str:
    """Return a text in the one form of those that look alike: keyboards differ (NFKC)."""
    # A half of a surrogate pair has no bytes; argon2 would refuse it by an error of its own.
    return unicodedata.normalize("NFKC", text).encode("utf-8", "replace").decode("utf-8")


def _nobodys() -> str:
    """Return a hash with today's parameters that no password has."""

    def text(count: int) -> str:
        return base64.b64encode(secrets.token_bytes(count)).decode().rstrip("=")

    costs = f"m={HASHER.memory_cost},t={HASHER.time_cost},p={HASHER.parallelism}"
    return f"$argon2id$v=19${costs}${text(HASHER.salt_len)}${text(HASHER.hash_len)}"


NOBODYS: Final = _nobodys()
