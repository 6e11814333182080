"""The methods: one config each, at a latency budget.

`found` searches the widths on the right edges of plateaus under the latency limit. The others are
what people do instead. All are held to the same predicted latency, so that none wins by being
slower, and those that look at an accuracy look at the same supernet's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.outcome.study import Study
from search.baselines import uniform_seeds, uniforms
from search.lattice import Lattice
from search.loop import run as search
from search.problem import Constraint, Problem, SearchError
from search.proposals import proposed
from search.searcher import Evaluator
from supernet.arithmetic import encode
from supernet.config import ChannelConfig
from supernet.resnet import ResNet
from training.criterion import load
from training.data import Data

DRAWS = 10
CRITERIA = ("l1", "fpgm")
TIGHTER = 0.95

Judge = Callable[[], Evaluator]
"""Gives the supernet's estimate; loaded by those alone that look at it."""


def found(
    study: Study, speedup: float, judge: Judge, folder: Path, teacher: ResNet, data: Data
) -> ChannelConfig:
    """The search on the narrowed widths, what the criteria propose there asked first."""
    problem = study.narrowed(speedup)
    first = [proposed(problem, load(name).importance(teacher, data)) for name in CRITERIA]
    return _searched(study, problem, judge(), folder, first)[0]


def uniform(study: Study, speedup: float) -> ChannelConfig:
    """One ratio for all layers, the widest net of any widths that meets the limit.

    Raises:
        SearchError: none does.
    """
    problem = study.plain(speedup)
    lattice = Lattice(problem.space)
    least = lattice.rows(lattice.smallest())  # below it nothing was measured
    configs = [c for c in uniforms(study.spec.network) if (encode([c]) >= least).all()]
    meets = problem.excess(encode(configs)) == 0
    if not meets.any():
        raise SearchError(f"no uniform network is {speedup:g} times as fast as the dense one")
    return configs[int(np.flatnonzero(meets)[-1])]


def random(study: Study, speedup: float, judge: Judge, folder: Path) -> ChannelConfig:
    """The best estimate among ten random configs of all widths that use up the limit."""
    history = search(
        study.plain(speedup),
        "random",
        {"near": 1.0},
        judge(),
        seed=study.spec.seed,
        evaluations=DRAWS,
        generation=DRAWS,
        folder=folder,
    )
    assert history.best is not None
    return history.best.config


def criterion(
    study: Study, speedup: float, name: str, teacher: ResNet, data: Data
) -> ChannelConfig:
    """The layer-wise widths of a pruning criterion on all widths, e.g. `l1` or `fpgm`."""
    return proposed(study.plain(speedup), load(name).importance(teacher, data))


def macs(study: Study, speedup: float, judge: Judge, folder: Path) -> ChannelConfig:
    """MetaPruning's search: all widths, MACs as the only limit, latency looked at afterwards.

    The limit is the MACs of the uniform net at the latency; the best estimate of the search that
    meets the latency is taken, and where none does, the limit is tightened by 5 % until one does.
    """
    problem, evaluate = study.plain(speedup), judge()
    limit = float(problem.metrics["macs"](encode([uniform(study, speedup)]))[0])
    while True:
        by_macs = replace(problem, constraints=(Constraint(metric="macs", limit=limit),))
        ranked = _searched(study, by_macs, evaluate, folder / f"{limit:.0f}")
        excess = problem.excess(encode(ranked))
        if (excess == 0).any():
            return next(c for c, over in zip(ranked, excess, strict=True) if over == 0)
        limit *= TIGHTER


def _searched(
    study: Study,
    problem: Problem,
    evaluate: Evaluator,
    folder: Path,
    first: Sequence[ChannelConfig] = (),
) -> list[ChannelConfig]:
    """Everything that a search evaluated, the best estimate first."""
    spec = study.spec.search
    history = search(
        problem,
        spec.searcher,
        {**spec.options, "seeds": list(dict.fromkeys([*first, *uniform_seeds(problem)]))},
        evaluate,
        seed=study.spec.seed,
        evaluations=spec.evaluations,
        generation=spec.generation,
        folder=folder,
    )
    ranked = sorted(history.scored, key=lambda c: c.estimate or 0.0, reverse=True)
    return [candidate.config for candidate in ranked]
