"""Log files of attempts, with a limit: the newest part stays, up to twice the limit."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


class Logs:
    """A folder with one log per attempt.

    Args:
        limit: bytes after which the older part of a log is given up.
    """

    def __init__(self, root: Path, limit: int = 16 << 20) -> None:
        self.root = root
        self.limit = limit

    def path(self, attempt: str) -> Path:
        """Where an attempt's output goes, opened for appending by whoever writes."""
        return self.root / f"{attempt}.log"

    def trim(self, attempt: str) -> None:
        """Sets the log aside if it grew over the limit; what was set aside before is given up."""
        path = self.path(attempt)
        if path.exists() and path.stat().st_size > self.limit:
            shutil.copyfile(path, self._older(attempt))
            os.truncate(path, 0)

    def read(self, attempt: str, last: int | None = None) -> str:
        """The log, or its last `last` bytes; empty if there is none."""
        parts = [self._older(attempt), self.path(attempt)]
        data = b"".join(part.read_bytes() for part in parts if part.exists())
        return (data if last is None else data[-last:]).decode(errors="replace")

    def part(self, attempt: str, at: int, most: int, last: int) -> tuple[str, int]:
        """Text of the newest part from byte `at` on, in whole lines where they fit, and its end.

        Args:
            at: below 0: `last` bytes before the end. After a trim it begins again.
            most: bytes at once.
        """
        path = self.path(attempt)
        size = path.stat().st_size if path.exists() else 0
        start = max(0, size - last) if at < 0 else (at if at <= size else 0)
        if start == size:
            return "", start
        with path.open("rb") as file:
            file.seek(start)
            data = file.read(most)
        if (end := data.rfind(b"\n") + 1) > 0:
            data = data[:end]
        return data.decode(errors="replace"), start + len(data)

    def _older(self, attempt: str) -> Path:
        return self.root / f"{attempt}.log.1"
