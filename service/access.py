"""Tokens of a server's start: who may come in, and what this machine's own client is given.

The client's file lies in the user's configuration folder, readable by the user alone.
"""

from __future__ import annotations

import ipaddress
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from jobs import users
from jobs.database import Database
from service.client.where import client_file

if TYPE_CHECKING:
    from service.serve import Serving

_LOCAL_S = 30 * 24 * 3600.0


def admit(database: Database, serving: Serving) -> str:
    """A token for this machine's client; takes in the one of the token file.

    Raises:
        ServeError: a bind beyond this machine, and nobody has a token.
    """
    from service.serve import ServeError

    if serving.token_file is not None:
        token = _read(serving.token_file)
        users.add_token(database, serving.user, token, "token file")
        return token
    if not _loopback(serving.host) and not users.any_token(database):
        raise ServeError(
            f"--host {serving.host} can be reached from other machines, and there is no token yet; "
            "give --token-file FILE (at least 32 characters), or create one first: "
            "stairprune token create"
        )
    return users.create_token(database, serving.user, "local client", _LOCAL_S)


def remember(address: str, token: str) -> None:
    """Writes the client's file."""
    path = client_file()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_suffix(".tmp")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump({"server": address, "token": token}, file)
    temporary.replace(path)


def _read(path: Path) -> str:
    from service.serve import ServeError

    try:
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ServeError(f"--token-file {path}: cannot be read: {error}") from None
    if not (32 <= len(token) <= 200 and token.isascii() and token.isprintable()):
        raise ServeError(
            f"--token-file {path}: a token has 32 to 200 printable characters, got {len(token)}"
        )
    return token


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
