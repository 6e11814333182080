"""`Folder`: the files of one search, so that it can be killed anywhere and lose nothing scored.

`search.json` holds fingerprint, searcher state and candidates of whole generations and is
replaced at once. `journal.jsonl` gets each outcome as soon as it is known; after a restart the
searcher asks the same configs again, and those found there are not evaluated twice.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from search.history import History, candidate_json, is_number
from search.problem import SearchError
from search.scoring import Outcome
from supernet.config import ChannelConfig, ConfigError

SCHEMA = 1
_SYNC_S = 1.0


class Folder:
    """Files of one search under `path`, which is created if missing.

    Attributes:
        outcomes: what the journal holds, by config.
    """

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.result = path / "search.json"
        self.journal = path / "journal.jsonl"
        self.outcomes: dict[ChannelConfig, Outcome] = {}
        self._lines: list[str] = []
        self._file: IO[str] | None = None
        self._synced = time.monotonic()

    def load(self, fingerprint: Mapping[str, Any]) -> tuple[dict[str, Any], History] | None:
        """Searcher state and history of the last whole generation; None in a new folder.

        Raises:
            SearchError: the folder holds another search, or a file that is not a search.
        """
        if not self.result.exists():
            self.journal.unlink(missing_ok=True)
            return None
        try:
            data = json.loads(self.result.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise SearchError(f"{self.result}: not readable as JSON: {error}") from None
        keys = {"schema", "fingerprint", "state", "candidates"}
        if not isinstance(data, dict) or set(data) != keys or data["schema"] != SCHEMA:
            raise SearchError(f"{self.result}: not a search of schema {SCHEMA}")
        self._compare(data["fingerprint"], fingerprint)
        if not isinstance(data["state"], dict):
            raise SearchError(f"{self.result}: state must be an object")
        try:
            history = History.from_json(data["candidates"])
        except SearchError as error:
            raise SearchError(f"{self.result}: {error}") from None
        self.outcomes = self._replay()
        return data["state"], history

    def save(self, fingerprint: Mapping[str, Any], state: dict[str, Any], history: History) -> None:
        """Replaces `search.json`, then forgets the journal, which it now contains.

        `history` must extend the one saved before: what was written once is not formatted again.
        """
        new = history.candidates[len(self._lines) :]
        self._lines += [json.dumps(candidate_json(c), allow_nan=False) for c in new]
        lines = ",\n".join(self._lines)
        text = (
            f'{{"schema": {SCHEMA},\n"fingerprint": {json.dumps(fingerprint)},\n'
            f'"state": {json.dumps(state, allow_nan=False)},\n"candidates": [\n{lines}\n]}}\n'
        )
        temporary = self.result.with_name(self.result.name + ".tmp")
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.result)
        self.close()
        self.journal.unlink(missing_ok=True)
        self.outcomes = {}

    def forget(self) -> None:
        """Removes the search, so that the folder is new."""
        self.close()
        self.result.unlink(missing_ok=True)
        self.journal.unlink(missing_ok=True)
        self._lines, self.outcomes = [], {}

    def note(self, config: ChannelConfig, outcome: Outcome) -> None:
        """Adds an outcome to the journal; it survives the death of this process from here on."""
        if self._file is None:
            self._file = self.journal.open("a", encoding="utf-8")
        item: dict[str, Any] = {"config": config.to_json()}
        if outcome.failure is None:
            item["estimate"] = outcome.estimate
        else:
            item["failure"] = outcome.failure
        self._file.write(json.dumps(item, allow_nan=False) + "\n")
        self._file.flush()
        # A power cut may cost the outcomes of the last second; syncing each would slow cheap ones.
        if time.monotonic() - self._synced > _SYNC_S:
            os.fsync(self._file.fileno())
            self._synced = time.monotonic()

    def close(self) -> None:
        """Closes the journal."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _compare(self, have: object, want: Mapping[str, Any]) -> None:
        wanted = json.loads(json.dumps(want))
        if not isinstance(have, dict):
            raise SearchError(f"{self.result}: fingerprint must be an object")
        if differ := [key for key in wanted | have if have.get(key) != wanted.get(key)]:
            raise SearchError(
                f"{self.path} holds another search: "
                + "; ".join(
                    f"{key} is {_short(have.get(key))} there, but {_short(wanted.get(key))} here"
                    for key in differ
                )
                + "; use another folder"
            )

    def _replay(self) -> dict[ChannelConfig, Outcome]:
        """Reads the journal and cuts off what a killed process left half-written."""
        outcomes: dict[ChannelConfig, Outcome] = {}
        if not self.journal.exists():
            return outcomes
        data = self.journal.read_bytes()
        good = 0
        for line in data.splitlines(keepends=True):
            entry = _entry(line)
            if entry is None:
                break
            outcomes[entry[0]] = entry[1]
            good += len(line)
        if good < len(data):
            os.truncate(self.journal, good)
        return outcomes


def _entry(line: bytes) -> tuple[ChannelConfig, Outcome] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        item = json.loads(line)
        config = ChannelConfig.from_json(item["config"])
        estimate, failure = item.get("estimate"), item.get("failure")
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError, ConfigError):
        return None
    if isinstance(failure, str) and estimate is None:
        return config, Outcome(failure=failure)
    return (config, Outcome(estimate=float(estimate))) if is_number(estimate) else None


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."
