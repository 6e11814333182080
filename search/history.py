"""`History`: everything a search proposed, in order, with costs and estimates."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search import pareto
from search.problem import SearchError
from search.searcher import Candidate
from supernet.config import ChannelConfig, ConfigError, brief
from supernet.space import SearchSpace

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Candidates in the order proposed; those without an estimate failed or broke a limit."""

    candidates: tuple[Candidate, ...] = ()

    @property
    def scored(self) -> list[Candidate]:
        """The candidates that have an estimate."""
        return pareto.scored(self.candidates)

    @property
    def failed(self) -> list[Candidate]:
        """The candidates whose evaluation failed."""
        return [c for c in self.candidates if c.failure is not None]

    @property
    def best(self) -> Candidate | None:
        """The candidate with the highest estimate, the earliest of equals; None before any."""
        return max(self.scored, key=lambda c: c.estimate or 0.0, default=None)

    def front(self, *metrics: str) -> list[Candidate]:
        """See `search.pareto.front`."""
        return pareto.front(self.candidates, *metrics)

    def pick(self, k: int, metric: str) -> list[Candidate]:
        """See `search.pareto.pick`."""
        return pareto.pick(self.candidates, k, metric)

    def extended(self, candidates: Sequence[Candidate]) -> History:
        """With `candidates` added at the end."""
        return History(candidates=(*self.candidates, *candidates))

    @classmethod
    def load(cls, path: Path) -> History:
        """Reads the candidates of a `search.json`.

        Raises:
            SearchError: unreadable or invalid; the message names the file and the place.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise SearchError(f"{path}: not readable as JSON: {error}") from None
        try:
            return cls.from_json(data.get("candidates") if isinstance(data, dict) else data)
        except SearchError as error:
            raise SearchError(f"{path}: {error}") from None

    def to_json(self) -> list[dict[str, Any]]:
        """One dict per candidate: config, costs, estimate and, where it failed, failure."""
        return [candidate_json(c) for c in self.candidates]

    @classmethod
    def from_json(cls, data: object) -> History:
        """The inverse of `to_json`.

        Raises:
            SearchError: anything that `to_json` does not write.
        """
        if not isinstance(data, list):
            raise SearchError(f"candidates must be a list, but got {type(data).__name__}")
        return cls(candidates=tuple(_candidate(at, item) for at, item in enumerate(data)))

    def to_pandas(self, space: SearchSpace) -> pd.DataFrame:
        """One row per candidate: a column per gene of `space`, per metric, estimate, failure."""
        import pandas as pd

        configs = [c.config for c in self.candidates]
        genes = space.genes(configs).tolist() if configs else []
        frame = pd.DataFrame(genes, columns=list(space.names))
        for metric in self.candidates[0].costs if configs else ():
            frame[metric] = [c.costs[metric] for c in self.candidates]
        frame["estimate"] = pd.Series([c.estimate for c in self.candidates], dtype="float64")
        frame["failure"] = pd.Series([c.failure for c in self.candidates], dtype="string")
        return frame


def candidate_json(candidate: Candidate) -> dict[str, Any]:
    """See `History.to_json`."""
    item = {
        "config": candidate.config.to_json(),
        "costs": dict(candidate.costs),
        "estimate": candidate.estimate,
    }
    return item if candidate.failure is None else {**item, "failure": candidate.failure}


def is_number(value: object) -> bool:
    """Whether `value` is a finite int or float (a bool is not)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and _finite(value)


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _candidate(at: int, item: object) -> Candidate:
    keys = {"config", "costs", "estimate"}
    if not isinstance(item, dict) or set(item) - {"failure"} != keys:
        raise SearchError(
            f"candidates[{at}] must have the keys config, costs, estimate, perhaps failure, "
            "and no other"
        )
    costs, estimate, failure = item["costs"], item["estimate"], item.get("failure")
    if not isinstance(costs, dict) or not all(is_number(cost) for cost in costs.values()):
        raise SearchError(f"candidates[{at}].costs must be numbers by metric, but got {costs!r}")
    if estimate is not None and not is_number(estimate):
        raise SearchError(f"candidates[{at}].estimate must be a number or null, got {estimate!r}")
    if "failure" in item and (not isinstance(failure, str) or estimate is not None):
        raise SearchError(
            f"candidates[{at}].failure must be text beside no estimate, got {brief(failure)}"
        )
    try:
        config = ChannelConfig.from_json(item["config"])
    except ConfigError as error:
        raise SearchError(f"candidates[{at}].config: {error}") from None
    return Candidate(config=config, costs=dict(costs), estimate=estimate, failure=failure)
