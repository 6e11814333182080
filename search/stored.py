"""`Stored`: a finished or running search as its folder tells it, for whoever looks at it.

Reads `search.json` alone: no table, no supernet and no job is needed. Never writes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.history import History
from search.problem import SearchError
from search.store import SCHEMA
from supernet.config import ConfigError
from supernet.network import NetworkSpec
from supernet.space import SearchSpace

NAME = "search.json"


@dataclass(frozen=True, kw_only=True)
class Stored:
    """One search.

    Attributes:
        limits: by metric.
        settings: searcher, options, seed, generation and evaluator, as they were given.
    """

    name: str
    space: SearchSpace
    limits: dict[str, float]
    settings: dict[str, Any]
    history: History

    @property
    def metrics(self) -> list[str]:
        """Names of the costs."""
        return list(self.history.candidates[0].costs) if self.history.candidates else []

    def metric(self, name: str | None) -> str:
        """A cost by name; by default the first latency, else the last cost.

        Raises:
            SearchError: no such cost.
        """
        known = self.metrics
        if name is not None and name not in known:
            raise SearchError(f"metric must be one of {', '.join(known) or 'none'}, got {name!r}")
        latency = [metric for metric in known if "latency" in metric]
        return name or [*known, *latency[:1]][-1]

    @classmethod
    def read(cls, path: Path) -> Stored:
        """Reads a `search.json`, the folder that holds it, or a run folder.

        Raises:
            SearchError: none there, or not a search; the message names the file.
        """
        file = _find(path)
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise SearchError(f"{file}: not readable as JSON: {error}") from None
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            raise SearchError(f"{file}: not a search of schema {SCHEMA}")
        try:
            mark = data["fingerprint"]
            return cls(
                name=str(path),
                space=_space(mark),
                limits={str(metric): float(limit) for metric, limit, *_ in mark["limits"]},
                settings={k: mark[k] for k in _SETTINGS},
                history=History.from_json(data["candidates"]),
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            if isinstance(error, SearchError | ConfigError):
                raise SearchError(f"{file}: {error}") from None
            raise SearchError(f"{file}: not a search of schema {SCHEMA}: {error!r}") from None


_SETTINGS = ("searcher", "options", "seed", "generation", "evaluator")


def _find(path: Path) -> Path:
    places = (path / NAME, path / "search" / NAME)
    file = next((place for place in places if place.is_file()), path)
    if not file.is_file():
        raise SearchError(f"{path}: no search here; it would be in {places[0]} or {places[1]}")
    return file


def _space(mark: dict[str, Any]) -> SearchSpace:
    network = {**mark["network"], "depths": tuple(mark["network"]["depths"])}
    return SearchSpace(
        network=NetworkSpec(**network),
        choices=tuple(tuple(widths) for widths in mark["choices"].values()),
        tied=mark["tied"],
    )
