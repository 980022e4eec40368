"""Who is asking, and what they may do: every route names the least role that it serves."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import Depends, Request
from starlette.exceptions import HTTPException


class Role(IntEnum):
    """What a user may do; each role may do what the ones before it may."""

    VIEWER = 1
    OPERATOR = 2
    ADMIN = 3


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


LOCAL: Final = User("local", Role.ADMIN)
"""Whoever reaches the loopback address, as long as there are no logins."""


def current_user(request: Request) -> User:
    """Return who is asking; the pages show it."""
    request.state.user = LOCAL
    return LOCAL


class _AtLeast:
    """A dependency that lets only a role, or a higher one, pass."""

    def __init__(self, role: Role) -> None:
        self.role = role

    def __call__(self, user: Annotated[User, Depends(current_user)]) -> User:
        """Return the user."""
        if user.role < self.role:
            raise HTTPException(HTTPStatus.FORBIDDEN)
        return user


Viewer = Annotated[User, Depends(_AtLeast(Role.VIEWER))]
Operator = Annotated[User, Depends(_AtLeast(Role.OPERATOR))]
Admin = Annotated[User, Depends(_AtLeast(Role.ADMIN))]
