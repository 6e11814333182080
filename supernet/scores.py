"""`Scores`: accuracy estimates on disk, so that nothing is ever scored twice.

A score's name is the hash of everything that decides it: the weights, the config, the images of
recalibration and validation in their batches and order, and how it was computed. So one file serves
any number of runs and processes, and a changed checkpoint never meets an old score.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

_MOST = 500  # names in one question; SQLite allows 999
_PATIENCE = 60.0  # seconds to wait for another process that writes


class ScoresError(ValueError):
    """A file that holds no scores."""


class Scores:
    """The scores in one SQLite file; other processes may use it at the same time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open: tuple[int, sqlite3.Connection] | None = None

    def __getstate__(self) -> Path:
        return self.path

    def __setstate__(self, path: Path) -> None:
        self.path, self._open = path, None

    def known(self, names: Sequence[str]) -> dict[str, float]:
        """Those of the scores that are there, by name.

        Raises:
            ScoresError: the file is not one of scores, or cannot be written.
        """
        found: dict[str, float] = {}
        for start in range(0, len(names), _MOST):
            some = names[start : start + _MOST]
            marks = ",".join("?" * len(some))
            found |= dict(self._do(f"SELECT name, score FROM scores WHERE name IN ({marks})", some))
        return found

    def keep(self, name: str, score: float) -> None:
        """Adds a score; one that is there already stays.

        Raises:
            ScoresError: see `known`.
        """
        self._do("INSERT OR IGNORE INTO scores VALUES (?, ?)", (name, score))

    def _do(self, question: str, values: Sequence[object]) -> list[tuple[str, float]]:
        try:
            return self._connection().execute(question, tuple(values)).fetchall()
        except (sqlite3.Error, OSError) as error:
            raise ScoresError(
                f"{self.path}: cannot be used for scores: {error}; remove it, or name another file"
            ) from None

    def _connection(self) -> sqlite3.Connection:
        # A connection must not be used by another process than the one that opened it.
        if self._open is None or self._open[0] != os.getpid():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None)
            connection.execute(
                "CREATE TABLE IF NOT EXISTS scores (name TEXT PRIMARY KEY, score REAL NOT NULL)"
            )
            self._open = (os.getpid(), connection)
        return self._open[1]
