"""Stage select: measure the best candidates as whole networks before any is trained.

A prediction never certifies a budget. Candidates go along the front of estimate against latency,
twice as many as wanted; those measured within the budget are kept. The uniform-width network
closest in *measured* latency to the first of them is the baseline that is trained beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from service.console import Report, say
from service.job import Job, Stage, own_target, tables
from service.spec import JobSpec
from service.stages.measure import as_json
from service.stages.profile import target
from service.store import write_json
from service.verdict import caveat, within
from supernet.config import ChannelConfig

if TYPE_CHECKING:
    from latency_tables.table import Measurement, Target
    from search.searcher import Candidate

_UNIFORMS = 13
"""Uniform-width networks measured around the predicted match."""
_UNIFORM_STEP = 0.01


def settings(spec: JobSpec) -> object:
    """What decides the result; the rest comes with the search's files."""
    given = {"configs": spec.train.configs} if spec.train.configs else {}
    return {
        "finalists": spec.search.finalists,
        "rounds": spec.verify.rounds,
        "limits": spec.limits.given(),
        **given,
    }


def run(job: Job, folder: Path, progress: Report) -> list[str]:
    """Writes `finalists.json`: names and configs to train, and what was measured.

    Configs that the job names itself are all kept, whatever they measure.
    """
    given = job.spec.chosen()
    wanted = len(given) or job.spec.search.finalists
    configs = given or [c.config for c in _candidates(job, 2 * wanted)]
    pool = {f"candidate-{i}": config for i, config in enumerate(configs, 1)}
    uniforms = _uniforms(job, configs[0])
    goal = target(job.spec)
    measured = whole_networks(
        job, goal, {"dense": job.spec.network.dense(), **uniforms, **pool}, progress
    )
    limits, dense = job.spec.limits, measured["dense"]
    kept = [name for name in pool if within(limits, measured[name], dense)]
    if len(kept) < len(pool):
        say(f"  {len(pool) - len(kept)} of {len(pool)} candidates {goal.origin} over the budget")
    if why_not := caveat(limits, goal):
        say(f"  {why_not}")
    # Too few hold: the fastest stand in, and the report says that they do not meet the budget.
    spare = sorted(set(pool) - set(kept), key=lambda name: measured[name].ceiling)
    kept = list(pool) if given else [*kept, *spare][:wanted]
    match = min(uniforms, key=lambda u: abs(measured[u].median - measured[kept[0]].median))
    chosen = {"dense": job.spec.network.dense(), "uniform": uniforms[match]}
    chosen |= {f"found-{i}": pool[name] for i, name in enumerate(kept, 1)}
    write_json(
        folder / "finalists.json",
        {
            "configs": {name: config.to_json() for name, config in chosen.items()},
            "measured": {name: as_json(m) for name, m in measured.items()},
            "pool": {name: config.to_json() for name, config in (uniforms | pool).items()},
        },
    )
    return ["finalists.json"]


def _candidates(job: Job, k: int) -> list[Candidate]:
    """Along the front of estimate against latency; or the fastest that are accurate enough."""
    goal = job.goal(job.problem()) if job.spec.search.at_least is not None else None
    history = job.history()
    return goal.pick(history.scored, k) if goal else history.pick(k, "latency_ms")


def _uniforms(job: Job, found: ChannelConfig) -> dict[str, ChannelConfig]:
    """Uniform-width networks whose predicted latency lies around that of `found`."""
    from latency_tables.predict import Predictor

    network, predictor = job.spec.network, Predictor(job.table())
    wanted = predictor.config(found).predicted
    lowest = job.spec.space.lowest
    ratios = [lowest + i * _UNIFORM_STEP for i in range(int((1 - lowest) / _UNIFORM_STEP) + 1)]
    configs = list(dict.fromkeys(network.uniform(ratio) for ratio in ratios))
    configs.sort(key=lambda config: abs(predictor.config(config).predicted - wanted))
    return {f"uniform-{i}": config for i, config in enumerate(configs[:_UNIFORMS], 1)}


def whole_networks(
    job: Job, goal: Target, configs: Mapping[str, ChannelConfig], progress: Report
) -> dict[str, Measurement]:
    """Networks with random weights end to end on a target, interleaved in one run."""
    from profiler.collect import compare
    from profiler.models import Whole
    from profiler.protocol import Protocol

    models = {name: Whole(job.spec.network, config) for name, config in configs.items()}
    protocol = Protocol(rounds=job.spec.verify.rounds, seed=job.spec.seed)
    return compare(goal, models, protocol, progress)


STAGE = Stage(
    name="select",
    summary="the best candidates as whole networks, before any is trained",
    after=lambda spec: (*tables(spec), "search"),
    settings=settings,
    run=run,
    measures=own_target,
)
