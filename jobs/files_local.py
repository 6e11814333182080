"""Files of a folder: written under a temporary name, synced, renamed, and their folder synced."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


class LocalFiles:
    """See `Files`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._temporary = root / "tmp"
        self._temporary.mkdir(parents=True, exist_ok=True)

    @property
    def address(self) -> str:
        """The folder."""
        return str(self.root)

    def temporary(self) -> Path:
        """In the same file system, so that it can be renamed."""
        return self._temporary / secrets.token_hex(8)

    def path(self, name: str) -> Path:
        """Where a file lies, whether there or not."""
        return self.root / name[:2] / name

    def keep(self, temporary: Path, name: str) -> None:
        """Renames it."""
        target = self.path(name)
        target.parent.mkdir(exist_ok=True)
        temporary.replace(target)
        _sync(target.parent)
        _sync(self.root)

    def open(self, name: str) -> BinaryIO:
        """The file itself, never what a link points to."""
        number = os.open(self.path(name), os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        return os.fdopen(number, "rb")

    def older(self, seconds: float) -> Iterator[str]:
        """By their time of change."""
        limit = time.time() - seconds
        for path in self.root.glob("*/*"):
            if path.lstat().st_mtime < limit:
                yield path.name

    def remove(self, name: str) -> None:
        """Be it stored or temporary."""
        self.path(name).unlink(missing_ok=True)
        (self._temporary / name).unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    """Makes renames in a folder last through a power cut."""
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
