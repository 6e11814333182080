"""Where the server is, and which token to show: options, environment, then the client's file."""

from __future__ import annotations

import json
import os
from pathlib import Path

from service.client.errors import ClientError

SERVER = "STAIRPRUNE_SERVER"
TOKEN = "STAIRPRUNE_TOKEN"


def client_file() -> Path:
    """Where `stairprune serve` leaves address and token for its own user."""
    base = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "stairprune" / "client.json"


def find(server: str | None = None, token: str | None = None) -> tuple[str, str]:
    """Address and token.

    Raises:
        ClientError: either is nowhere to be found.
    """
    server = server or os.environ.get(SERVER)
    token = token or os.environ.get(TOKEN)
    kept = _kept()
    if server is None or server.rstrip("/") == kept.get("server"):
        server, token = server or kept.get("server"), token or kept.get("token")
    if server is None:
        raise ClientError(
            f"no server is known: start one with stairprune serve, or give --server or {SERVER}"
        )
    if not server.startswith(("http://", "https://")):
        raise ClientError(f"a server is given as http://HOST:PORT, but got {server!r}")
    if token is None:
        raise ClientError(
            f"no token for {server}: give {TOKEN} (stairprune token create makes one)"
        )
    return server.rstrip("/"), token


def _kept() -> dict[str, str]:
    try:
        found = json.loads(client_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {k: v for k, v in found.items() if isinstance(v, str)} if isinstance(found, dict) else {}
