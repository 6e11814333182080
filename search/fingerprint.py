"""What makes a search this search and no other, as JSON that a reader can compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from search.lattice import Lattice
from search.problem import Problem, SearchError
from supernet.config import ChannelConfig

_PROBES = 8


def fingerprint(
    problem: Problem,
    searcher: str,
    options: Mapping[str, Any],
    *,
    seed: int,
    generation: int,
    evaluator: str,
) -> dict[str, Any]:
    """Everything that decides the sequence of configs and estimates.

    Metrics are functions and cannot be compared; what they charge for a few fixed configs can,
    so that a search is not continued with another latency table.

    Raises:
        SearchError: an option that JSON cannot hold.
    """
    space = problem.space
    return {
        "network": asdict(space.network),
        "tied": space.tied,
        "choices": dict(zip(space.names, map(list, space.choices), strict=True)),
        "limits": [[c.metric, c.limit, *([c.floor] * bool(c.floor))] for c in problem.constraints],
        "costs": _probe(problem),
        "searcher": searcher,
        "options": {name: _plain(name, options[name]) for name in sorted(options)},
        "seed": seed,
        "generation": generation,
        "evaluator": evaluator,
    }


def _probe(problem: Problem) -> dict[str, list[float]]:
    """Costs of the smallest, the largest and a few random configs, to six digits."""
    lattice = Lattice(problem.space)
    drawn = lattice.draw(np.random.default_rng(0), _PROBES)
    rows = lattice.rows(np.concatenate([lattice.smallest(), lattice.largest(), drawn]))
    # Six digits: the last bits of a float sum may differ between machines, and mean nothing.
    return {
        name: [float(f"{cost:.6g}") for cost in costs]
        for name, costs in problem.costs(rows).items()
    }


def _plain(name: str, value: object) -> Any:
    if isinstance(value, ChannelConfig):
        return value.to_json()
    if isinstance(value, list | tuple):
        return [_plain(name, item) for item in value]
    if isinstance(value, str | int | float | bool | None):
        return value
    raise SearchError(f"option {name} must be JSON or configs, but got {type(value).__name__}")
