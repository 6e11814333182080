"""Who asks: a token in the Authorization header, or a browser's session cookie.

A session is a token of its own with an end, so the store keeps nothing but its hash, and signing
out revokes it. A one-time code turns into a session once, within its time.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from http.cookies import CookieError, SimpleCookie

from jobs import users
from jobs.database import Database
from jobs.users import User

COOKIE = "stairprune"
_CODES = 100  # alive at a time
_LONGEST = 200  # characters of a token that is looked up


class OneTimeCodes:
    """Codes of a running server, each good for one sign-in."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._codes: dict[str, tuple[str, float]] = {}

    def create(self, user: str, lasts_s: float = 600.0) -> str:
        """A new code for `user`."""
        code = secrets.token_urlsafe(32)
        with self._lock:
            while len(self._codes) >= _CODES:
                del self._codes[next(iter(self._codes))]
            self._codes[_digest(code)] = (user, self._clock() + lasts_s)
        return code

    def take(self, code: str) -> str | None:
        """The user of a code, which is spent by that; None if unknown, spent or too old."""
        with self._lock:
            user, until = self._codes.pop(_digest(code), ("", 0.0))
        return user if user and self._clock() < until else None


def bearer(authorization: str) -> str | None:
    """The token of an Authorization header."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def cookie(header: str) -> str | None:
    """The session of a Cookie header."""
    try:
        found = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return None
    return None if found is None else found.value


def open_session(database: Database, user: str, lasts_s: float) -> str:
    """A new session's cookie value."""
    return users.create_token(database, user, users.SESSION, lasts_s)


def find(database: Database, tokens: Sequence[str]) -> Sequence[User | None]:
    """Whose tokens or sessions these are."""
    return users.authenticate_all(
        database, [token if len(token) <= _LONGEST else "" for token in tokens]
    )


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode(errors="replace")).hexdigest()
