"""What there is to see of a search, as numbers: summary, widths by layer, two searches compared."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from search.importance import importance
from search.pareto import hypervolume
from search.problem import SearchError
from search.searcher import Candidate
from search.stored import Stored
from supernet.config import ChannelConfig
from supernet.network import NetworkSpec


def describe(stored: Stored, metric: str | None = None, front: int = 10) -> dict[str, Any]:
    """Settings, counts, the best config and the front against `metric`, as JSON-able data.

    Args:
        front: at most so many configs of the front, best first.

    Raises:
        SearchError: no such metric.
    """
    history, chosen = stored.history, stored.metric(metric)
    scored, failed = history.scored, history.failed
    best = history.best
    return {
        **stored.settings,
        "limits": stored.limits,
        "configs_in_space_log10": stored.space.log10_size,
        "proposed": len(history.candidates),
        "scored": len(scored),
        "failed": len(failed),
        "first_failure": failed[0].failure if failed else None,
        "best": _entry(best) if best else None,
        "best_found_at": scored.index(best) + 1 if best else None,
        "metric": chosen,
        "front": [_entry(c) for c in history.front(chosen)[:front]] if scored else [],
        "importance": _importance(stored),
    }


def compare(one: Stored, two: Stored, metric: str | None = None) -> dict[str, Any]:
    """Two searches with the same objective side by side, as JSON-able data.

    Hypervolumes share one reference point: the worst estimate and the largest cost of both.

    Raises:
        SearchError: nothing was scored in one, or they have no such metric in common.
    """
    chosen = one.metric(metric)
    both = [*one.history.scored, *two.history.scored]
    for stored in (one, two):
        stored.metric(chosen)
        if not stored.history.scored:
            raise SearchError(f"{stored.name}: nothing was scored, so nothing can be compared")
    floor = min(c.estimate for c in both if c.estimate is not None)
    cost = max(c.costs[chosen] for c in both)
    found = {c.config for c in one.history.scored} & {c.config for c in two.history.scored}
    return {
        "metric": chosen,
        "same_objective": one.settings["evaluator"] == two.settings["evaluator"],
        "same_limits": one.limits == two.limits,
        "scored_by_both": len(found),
        "searches": [_side(stored, chosen, floor, cost) for stored in (one, two)],
    }


def running_best(candidates: Sequence[Candidate]) -> list[float]:
    """The best estimate after each evaluation; a failed one changes nothing (nan before any)."""
    best, line = math.nan, []
    for candidate in candidates:
        if candidate.estimate is not None and not candidate.estimate <= best:
            best = candidate.estimate
        if candidate.estimate is not None or candidate.failure is not None:
            line.append(best)
    return line


def layer_names(network: NetworkSpec) -> list[str]:
    """Names of all convolutions, in order."""
    blocks = [f"{stage + 1}.{index}" for stage, index in network.positions()]
    return ["stem", *(f"{block} conv{c}" for block in blocks for c in (1, 2, 3))]


def layer_widths(network: NetworkSpec, config: ChannelConfig) -> list[int]:
    """Output width of every convolution, in order; 0 for the inner ones of a removed block."""
    widths = [config.stem]
    for (stage, _), pair in zip(network.positions(), config.inner, strict=True):
        widths += [*pair, config.stages[stage]]
    return widths


def _entry(candidate: Candidate) -> dict[str, Any]:
    return {
        "estimate": candidate.estimate,
        "costs": candidate.costs,
        "config": candidate.config.to_json(),
    }


def _importance(stored: Stored) -> dict[str, Any] | None:
    try:
        found = importance(stored.space, stored.history)
    except SearchError:
        return None
    return {"total": found.total, "alone": found.alone, "left_out_error": found.error}


def _side(stored: Stored, metric: str, floor: float, cost: float) -> dict[str, Any]:
    history, best = stored.history, stored.history.best
    assert best is not None
    line = np.array(running_best(history.candidates))
    return {
        "name": stored.name,
        "searcher": stored.settings["searcher"],
        "seed": stored.settings["seed"],
        "scored": len(history.scored),
        "best": _entry(best),
        "best_found_at": int(np.argmax(line == best.estimate)) + 1,
        "front": len(history.front(metric)),
        "hypervolume": hypervolume(history.candidates, metric, estimate=floor, cost=cost),
    }
