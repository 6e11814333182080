"""Files that are whole or absent: atomic writes, and JSON that carries its own checksum.

Knows nothing of what the files hold.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any


def write(path: Path, content: bytes) -> None:
    """Replaces `path` by `content` whole or not at all, also through a power cut."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    # The rename itself is durable only once the folder is on disk.
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def canonical(value: object) -> bytes:
    """One text per JSON value: keys sorted, no NaN, no infinity.

    Raises:
        ValueError: a NaN or an infinity is inside.
    """
    return json.dumps(value, sort_keys=True, allow_nan=False).encode()


def write_sealed(path: Path, value: dict[str, Any]) -> None:
    """Writes `value` as JSON with its checksum beside it."""
    seal = sha256(canonical(value))
    text = json.dumps({"sha256": seal, "value": value}, allow_nan=False, indent=1)
    write(path, text.encode())


def read_sealed(path: Path) -> dict[str, Any] | None:
    """What `write_sealed` wrote, or None if the file is absent, torn or altered."""
    try:
        data = json.loads(path.read_bytes())
        value = data["value"]
        whole = isinstance(value, dict) and data["sha256"] == sha256(canonical(value))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return value if whole else None
