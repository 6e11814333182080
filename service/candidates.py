"""What a job's search found, as stored files tell it: costs, estimates, then what was measured.

An estimate is the supernet's and stays under that name; `test` is the accuracy of the network
trained from scratch, once there is one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from jobs import views
from jobs.errors import StateError, UnknownError
from search.history import History
from search.pareto import front
from search.searcher import Candidate
from service.instance import Instance
from supernet.config import ChannelConfig

LATENCY = "latency_ms"


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateView:
    """A scored config.

    Attributes:
        id: its number in the search, `c1` for the first that was proposed.
        finalist: its name where it was chosen for training, else None.
        figures: costs by metric, `estimate`; and where made, `measured_ms` with `measured_low` and
            `measured_high`, and `test`, a mean over seeds.
        front: whether no other has a higher estimate at less predicted latency.
    """

    id: str
    config: dict[str, Any]
    figures: dict[str, float | None]
    front: bool
    finalist: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """All of a job's candidates; networks beside them (dense, uniform) under `others`.

    Attributes:
        budget: limits by metric, as numbers.
        metrics: names of the costs.
    """

    candidates: list[CandidateView]
    budget: dict[str, float]
    metrics: list[str]
    others: dict[str, dict[str, Any]] = field(default_factory=dict)


def found(instance: Instance, job: str) -> Found:
    """What there is now.

    Raises:
        UnknownError: no such job.
        StateError: it has no finished search yet.
    """
    files = {s.name: s.files or {} for s in views.show(instance.database, job).stages}
    search = files.get("search", {})
    if "search.json" not in search:
        raise StateError(f"job {job} has no finished search yet, so there are no candidates")
    history = _history(instance, search["search.json"])
    budget = _json(instance, search["budget.json"])
    finalists, extra = _finalists(instance, files)
    best = {c.config for c in front(history.candidates, _metric(history))}
    shown = [
        _view(number, candidate, best, finalists, extra)
        for number, candidate in enumerate(history.candidates, 1)
        if candidate.estimate is not None
    ]
    others = {
        name: {"config": config.to_json(), "figures": extra.get(name, {})}
        for config, name in finalists.items()
        if not name.startswith("found")
    }
    metrics = list(history.candidates[0].costs) if history.candidates else []
    return Found(candidates=shown, budget=budget, metrics=metrics, others=others)


def one(instance: Instance, job: str, candidate: str) -> CandidateView:
    """One by its id, or by its finalist's name.

    Raises:
        UnknownError: no such candidate.
    """
    for view in found(instance, job).candidates:
        if candidate in (view.id, view.finalist):
            return view
    raise UnknownError(f"job {job} has no candidate {candidate!r:.60}")


def best(instance: Instance, job: str, metric: str, under: float) -> CandidateView:
    """The highest estimate with at most `under` of a metric.

    Raises:
        UnknownError: no such metric, or none is within.
    """
    all_of_it = found(instance, job)
    if metric not in all_of_it.metrics:
        raise UnknownError(f"metric must be one of {', '.join(all_of_it.metrics)}, got {metric!r}")
    inside = [c for c in all_of_it.candidates if (c.figures[metric] or 0.0) <= under]
    if not inside:
        raise UnknownError(f"no candidate of job {job} has {metric} <= {under:g}")
    return max(inside, key=lambda c: c.figures["estimate"] or 0.0)


def stage_json(instance: Instance, job: str, stage: str, name: str) -> Any | None:
    """A JSON file of a job's stage; None where the stage has not made it.

    Raises:
        UnknownError: no such job.
    """
    for found in views.show(instance.database, job).stages:
        if found.name == stage and name in (found.files or {}):
            return _json(instance, (found.files or {})[name])
    return None


def _view(
    number: int,
    candidate: Candidate,
    best: set[ChannelConfig],
    finalists: dict[ChannelConfig, str],
    extra: dict[str, dict[str, float]],
) -> CandidateView:
    name = finalists.get(candidate.config)
    figures = {"estimate": candidate.estimate, **candidate.costs, **extra.get(name or "", {})}
    return CandidateView(
        id=f"c{number}",
        config=candidate.config.to_json(),
        figures=figures,
        front=candidate.config in best,
        finalist=name,
    )


def _metric(history: History) -> str:
    known = list(history.candidates[0].costs) if history.candidates else [LATENCY]
    return LATENCY if LATENCY in known else known[-1]


def _finalists(
    instance: Instance, files: dict[str, dict[str, str]]
) -> tuple[dict[ChannelConfig, str], dict[str, dict[str, float]]]:
    """Names of finalists by config, and their measured figures by name."""
    if "finalists.json" not in (chosen := files.get("select", {})):
        return {}, {}
    names = {
        ChannelConfig.from_json(config): name
        for name, config in _json(instance, chosen["finalists.json"])["configs"].items()
    }
    extra: dict[str, dict[str, float]] = {name: {} for name in names.values()}
    if "measured.json" in (measured := files.get("measure", {})):
        for name, m in _json(instance, measured["measured.json"]).items():
            extra.setdefault(name, {}).update(
                measured_ms=m["median"], measured_low=m["lo"], measured_high=m["hi"]
            )
    if "accuracy.json" in (trained := files.get("train", {})):
        for name, seeds in _json(instance, trained["accuracy.json"])["test"].items():
            extra.setdefault(name, {})["test"] = sum(seeds) / len(seeds)
    if "quantised.json" in (quantised := files.get("quantise", {})):
        for name, network in _json(instance, quantised["quantised.json"])["networks"].items():
            extra.setdefault(name, {})["test_int8"] = network["int8"]["accuracy"]
    return names, extra


def _history(instance: Instance, digest: str) -> History:
    history: History = _cached(instance, digest, "history")
    return history


def _json(instance: Instance, digest: str) -> Any:
    return _cached(instance, digest, "json")


@lru_cache(maxsize=64)
def _cached(instance: Instance, digest: str, kind: str) -> Any:
    """A stored file, parsed; files never change, so neither does what was read."""
    with instance.artifacts.open(digest) as file:
        data = json.load(file)
    return History.from_json(data["candidates"]) if kind == "history" else data
