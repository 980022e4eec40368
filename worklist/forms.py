"""What forms say in words, as values; and errors as sentences."""

from __future__ import annotations

from worklist.access import Role
from worklist.accounts import AccountError


def role_of(word: str) -> Role:
    """Return the role that a form names.

    Raises
    ------
    AccountError
        If it is none.
    """
    try:
        return Role.of(word)
    except KeyError:
        msg = "there is no such role"
        raise AccountError(msg) from None


def sentence(error: Exception) -> str:
    """Return an error's text as a sentence."""
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
