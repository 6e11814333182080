"""The folder of a job: which stages are finished, for which inputs, and their files.

A stage is finished when its `done.json` names the key of its inputs and the hashes of its files.
`done.json` is written last, so a killed stage is never taken for a finished one. Results of
other inputs are set aside, not lost, and come back when the inputs do.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout


class RunError(RuntimeError):
    """A run folder that cannot be used; the message says why."""


def write_json(path: Path, data: object) -> None:
    """Writes a JSON file whole or not at all."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(data, file, indent=1, sort_keys=True, allow_nan=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        RunError: missing or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: cannot be read: {error}") from None


def digest(data: object) -> str:
    """SHA-256 over the canonical JSON of `data`."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


class RunFolder:
    """`runs/<name>/`: one folder per stage."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(path / ".lock", timeout=0)

    def lock(self) -> AbstractContextManager[object]:
        """Held while a process works here.

        Raises:
            RunError: another process works here.
        """
        try:
            return self._lock.acquire()
        except Timeout:
            raise RunError(f"{self.path}: another stairprune process works on this run") from None

    def stage(self, name: str) -> Path:
        """The folder of a stage."""
        return self.path / name

    def finished(self, stage: str, key: str) -> dict[str, str] | None:
        """Hashes of a finished stage's files by name, or None if it has to run."""
        marker = self.stage(stage) / "done.json"
        if not marker.exists():
            return None
        done = read_json(marker)
        if done.get("key") != key:
            return None
        files: dict[str, str] = done["files"]
        for name, wanted in files.items():
            path = self.stage(stage) / name
            if not path.exists() or _hash_file(path) != wanted:
                raise RunError(
                    f"{path}: changed or removed since the stage {stage} finished; "
                    f"remove the folder {self.stage(stage)} to run the stage again"
                )
        return files

    def open(self, stage: str, key: str) -> Path:
        """The stage's folder for inputs `key`: as an interrupted run left it, or new."""
        folder, aside = self.stage(stage), self.path / "superseded"
        marker = folder / "key.json"
        if folder.exists():
            old = read_json(marker)["key"] if marker.exists() else "unknown"
            if old != key:
                aside.mkdir(exist_ok=True)
                folder.rename(_free(aside / f"{stage}-{old[:12]}"))
        back = aside / f"{stage}-{key[:12]}"
        if not folder.exists() and back.exists():
            back.rename(folder)
        folder.mkdir(exist_ok=True)
        write_json(marker, {"key": key})
        return folder

    def finish(self, stage: str, key: str, outputs: list[str], seconds: float) -> dict[str, str]:
        """Declares the stage finished with these files."""
        folder = self.stage(stage)
        files = {name: _hash_file(folder / name) for name in sorted(outputs)}
        write_json(folder / "done.json", {"key": key, "files": files, "seconds": seconds})
        return files


def _free(path: Path) -> Path:
    candidates = (path, *(path.with_name(f"{path.name}-{n}") for n in range(2, 10_000)))
    return next(candidate for candidate in candidates if not candidate.exists())


def _hash_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
