"""Users, their caps, and tokens. A token is shown once; the store keeps its hash.

Tokens carry 256 random bits, so a plain SHA-256 is enough: there is nothing to guess.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from jobs import schema
from jobs.clock import now
from jobs.database import Database
from jobs.errors import SubmissionError, UnknownError

SESSION = "browser session"
"""Label of tokens that are browsers' cookies."""
_PREFIX = "sp_"  # so that scanners for leaked secrets can find one


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who submits.

    Attributes:
        most_running: jobs of this user that run at once.
        most_open: jobs of this user that have not ended.
    """

    name: str
    most_running: int
    most_open: int


def ensure(database: Database, name: str, most_running: int = 4, most_open: int = 1000) -> User:
    """Creates the user, or changes the caps of the one there is."""
    if not 1 <= len(name) <= 100 or not name.isprintable():
        raise SubmissionError(f"a user's name must be 1 to 100 characters, but got {name!r:.120}")
    if most_running < 1 or most_open < 1:
        raise SubmissionError(f"caps must be >= 1, but got {most_running} and {most_open}")
    caps = {"most_running": most_running, "most_open": most_open}
    table = schema.users
    with database.write(serial="claim") as tx:
        changed = tx.execute(update(table).where(table.c.name == name).values(**caps))
        if not changed.rowcount:
            tx.execute(insert(table).values(name=name, created_at=now(), **caps))
    return User(name=name, **caps)


def ensure_exists(database: Database, name: str) -> None:
    """Creates the user where there is none; caps of one there is stay as they are."""
    with database.read() as tx:
        query = select(schema.users.c.number).where(schema.users.c.name == name)
        known = tx.execute(query).scalar() is not None
    if not known:
        ensure(database, name)


def number_of(tx: Connection, name: str) -> int:
    """A user's row.

    Raises:
        UnknownError: no such user.
    """
    query = select(schema.users.c.number).where(schema.users.c.name == name)
    found: int | None = tx.execute(query).scalar()
    if found is None:
        raise UnknownError(f"no user is called {name!r}")
    return found


def create_token(
    database: Database, user: str, label: str = "", lasts_s: float | None = None
) -> str:
    """A new token of the user, in clear for the only time.

    Args:
        lasts_s: seconds until it is refused; for ever if not given.
    """
    token = _PREFIX + secrets.token_urlsafe(32)
    add_token(database, user, token, label, lasts_s)
    return token


def add_token(
    database: Database, user: str, token: str, label: str = "", lasts_s: float | None = None
) -> None:
    """Lets a token in that was made elsewhere; known before, it stays as it is.

    Raises:
        UnknownError: no such user.
    """
    insert_ = sqlite.insert if database.sqlite else postgresql.insert
    with database.write() as tx:
        row = insert_(schema.tokens).values(
            user=number_of(tx, user),
            label=label[:100],
            digest=_digest(token),
            created_at=now(),
            expires_at=None if lasts_s is None else now() + lasts_s,
        )
        tx.execute(row.on_conflict_do_nothing(index_elements=["digest"]))


def any_token(database: Database) -> bool:
    """Whether any token is valid that is no browser session."""
    tokens = schema.tokens
    query = (
        select(tokens.c.number)
        .where(tokens.c.revoked_at.is_(None), tokens.c.label != SESSION)
        .where(or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > now()))
    )
    with database.read() as tx:
        return tx.execute(query.limit(1)).first() is not None


def authenticate(database: Database, token: str) -> User | None:
    """Whose token this is; None if it is unknown, expired or revoked."""
    return authenticate_all(database, [token])[0]


def authenticate_all(database: Database, wanted: Sequence[str]) -> list[User | None]:
    """`authenticate` of several tokens in one look."""
    users, tokens, digests = schema.users, schema.tokens, [_digest(token) for token in wanted]
    query = (
        select(tokens.c.digest, *users.c["name", "most_running", "most_open"])
        .join(tokens, tokens.c.user == users.c.number)
        .where(tokens.c.digest.in_(sorted(set(digests))), tokens.c.revoked_at.is_(None))
        .where(or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > now()))
    )
    with database.read() as tx:
        found = {
            digest: User(name=row[0], most_running=row[1], most_open=row[2])
            for digest, *row in tx.execute(query)
        }
    return [found.get(digest) for digest in digests]


def revoke(database: Database, token: str) -> bool:
    """Refuses the token from now on; False if it is unknown or revoked already."""
    table = schema.tokens
    with database.write() as tx:
        done = tx.execute(
            update(table)
            .where(table.c.digest == _digest(token), table.c.revoked_at.is_(None))
            .values(revoked_at=now())
        )
    return done.rowcount == 1


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
