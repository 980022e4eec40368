"""Who is asking, and what they may do: every route names the least role that it serves.

Who is asking is found by `worklist.guard` before any route is, so that none can forget to ask.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request
from starlette.exceptions import HTTPException


class Role(IntEnum):
    """What a user may do; each role may do what the ones before it may."""

    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3

    @property
    def word(self) -> str:
        """Return its name as pages, commands and the database have it."""
        return self.name.lower()

    @classmethod
    def of(cls, word: str) -> Role:
        """Return the role of a word.

        Raises
        ------
        KeyError
            If it is none.
        """
        return cls[word.upper()]


ROLE_WORDS = tuple(role.word for role in Role)


@dataclass(frozen=True, slots=True)
class User:
    """Who is asking.

    Attributes
    ----------
    name : str
        As events and the audit name them.
    role : Role
        The most that they may do.
    """

    name: str
    role: Role


def current_user(request: Request) -> User:
    """Return who is asking, as `worklist.guard` found them.

    Raises
    ------
    HTTPException
        401 on an address that is open to all and yet asks who it is.
    """
    user: User | None = getattr(request.state, "user", None)
    if user is None:
        raise HTTPException(HTTPStatus.UNAUTHORIZED, "Log in first.")
    return user


class AtLeast:
    """A dependency that lets only a role, or a higher one, pass."""

    def __init__(self, role: Role) -> None:
        self.role = role

    def __call__(self, user: Annotated[User, Depends(current_user)]) -> User:
        """Return the user."""
        if user.role < self.role:
            text = f"This takes the role {self.role.word}; yours is {user.role.word}."
            raise HTTPException(HTTPStatus.FORBIDDEN, text)
        return user


Viewer = Annotated[User, Depends(AtLeast(Role.VIEWER))]
Operator = Annotated[User, Depends(AtLeast(Role.OPERATOR))]
Admin = Annotated[User, Depends(AtLeast(Role.ADMIN))]
