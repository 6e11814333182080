"""Optuna's samplers under hard limits: TPE, NSGA-II, NSGA-III or a Gaussian process.

What a sampler proposes is narrowed to the limits before it is asked, and told as it was scored.
The study is made anew from what was told for every batch, so that a restored search goes on
exactly; with a `storage`, the scored configs also appear in a study that optuna-dashboard shows.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from search.lattice import Key
from search.memory import Memory
from search.problem import Problem, SearchError
from search.sampling import Sampler
from search.searcher import Candidate
from search.seeds import seed_keys
from search.studies import Mirror, optuna_module, trial_of
from supernet.config import ChannelConfig

if TYPE_CHECKING:
    from optuna import Study
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

SAMPLERS = ("tpe", "nsga2", "nsga3", "gp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Options of Optuna."""

    sampler: str = field(default="tpe", metadata={"help": "tpe, nsga2, nsga3 or gp"})
    first: int = field(
        default=32, metadata={"help": "configs sampled before the sampler proposes, seeds included"}
    )
    population: int = field(default=48, metadata={"help": "population of nsga2 and nsga3"})
    storage: str = field(
        default="",
        metadata={"help": "journal file or database URL that shows the search to optuna-dashboard"},
    )
    study: str = field(default="stairprune", metadata={"help": "name of the study in the storage"})
    seeds: Sequence[ChannelConfig] = field(
        default=(), metadata={"help": "configs asked first, narrowed to the limits if need be"}
    )

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise SearchError(
                f"sampler must be one of {', '.join(SAMPLERS)}, but got {self.sampler!r}"
            )
        for name in ("first", "population"):
            if getattr(self, name) < 2:
                raise SearchError(f"{name} must be >= 2, but got {getattr(self, name)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """A scored row, its excess over each limit, and what the sampler noted when it proposed it."""

    key: Key
    estimate: float
    excess: dict[str, float]
    notes: dict[str, Any]


class Plugin:
    """Searcher `optuna`."""

    summary = "Optuna's TPE, NSGA-II, NSGA-III or GP sampler under the limits"

    def __init__(self, problem: Problem, seed: int, **options: Any) -> None:
        self._options = Options(**options)
        self._optuna = optuna_module()
        self._problem = problem
        self._sampler = Sampler(problem)
        self._memory = Memory(self._sampler.lattice, seed)
        self._pending = seed_keys(self._sampler, self._memory, self._options.seeds)
        self._told: list[_Told] = []
        self._notes: dict[Key, dict[str, Any]] = {}
        self._shown = 0
        self._mirror: Mirror | None = None
        ints = self._optuna.distributions.IntDistribution
        self._space = {
            name: ints(0, int(size) - 1)
            for name, size in zip(problem.space.names, self._sampler.lattice.sizes, strict=True)
        }

    def ask(self, n: int) -> Sequence[ChannelConfig]:
        if self._sampler.anchor is None:
            return []
        memory = self._memory
        seeds = [key for key in self._pending if key not in memory.seen]
        keys, self._pending = seeds[:n], seeds[n:]
        if self._told and len(memory.seen) >= self._options.first:
            keys += self._proposed(n - len(keys), keys)
        return self._sampler.fill(memory, keys, n)

    def tell(self, candidates: Sequence[Candidate]) -> None:
        lattice, problem = self._sampler.lattice, self._problem
        inside = [c for c in candidates if c.config in lattice.space]
        index = lattice.index([c.config for c in inside])
        keys = lattice.keys(index)
        costs = problem.costs(lattice.rows(index)) if inside else {}
        for at, (candidate, key) in enumerate(zip(inside, keys, strict=True)):
            notes = self._notes.pop(key, {})
            priced = {name: float(cost[at]) for name, cost in costs.items()}
            if candidate.estimate is not None:
                over = {c.metric: priced[c.metric] / c.limit - 1 for c in problem.constraints}
                told = _Told(key=key, estimate=candidate.estimate, excess=over, notes=notes)
                self._told.append(told)
            self._show(Candidate(
                config=candidate.config, costs=priced, estimate=candidate.estimate,
                failure=candidate.failure,
            ))  # fmt: skip
        self._memory.add(keys)

    def state(self) -> dict[str, Any]:
        return {
            "memory": self._memory.state(),
            "pending": [list(key) for key in self._pending],
            "told": [[list(t.key), t.estimate, t.excess, t.notes] for t in self._told],
            "notes": [[list(key), notes] for key, notes in self._notes.items()],
            "shown": self._shown,
        }

    def restore(self, state: dict[str, Any]) -> None:
        told = [
            _Told(key=tuple(key), estimate=float(value), excess=dict(over), notes=dict(notes))
            for key, value, over, notes in state["told"]
        ]
        pending = [tuple(key) for key in state["pending"]]
        self._sampler.lattice.unkey([*pending, *(t.key for t in told)])
        self._memory.restore(state["memory"])
        self._told, self._pending = told, pending
        self._notes = {tuple(key): dict(notes) for key, notes in state["notes"]}
        self._shown = int(state["shown"])

    def _proposed(self, n: int, taken: Sequence[Key]) -> list[Key]:
        """Up to `n` proposals, narrowed to the limits; those asked before are left out."""
        if n < 1:
            return []
        lattice = self._sampler.lattice
        study = self._study()
        trials = [study.ask(self._space) for _ in range(n)]
        names = lattice.space.names
        drawn = np.array([[trial.params[name] for name in names] for trial in trials])
        noted = study.get_trials(deepcopy=False)[-n:]
        found: dict[Key, dict[str, Any]] = {}
        repaired = self._sampler.repair(lattice.canonical(drawn), self._memory.rng)
        for key, trial in zip(lattice.keys(repaired), noted, strict=True):
            if key not in self._memory.seen and key not in taken:
                found.setdefault(key, _notes(trial))
        self._notes.update(found)
        return list(found)

    def _study(self) -> Study:
        """A study of everything told, with a sampler seeded for this batch."""
        study: Study = self._optuna.create_study(
            direction="maximize", sampler=self._seeded(int(self._memory.rng.integers(2**31)))
        )
        study.add_trials([self._trial(told) for told in self._told])
        return study

    def _trial(self, told: _Told) -> FrozenTrial:
        trial: FrozenTrial = self._optuna.trial.create_trial(
            value=told.estimate,
            params=dict(zip(self._space, told.key, strict=True)),
            distributions=self._space,
            system_attrs=dict(told.notes),  # which Optuna adds to
            constraints=told.excess,
        )
        return trial

    def _seeded(self, seed: int) -> BaseSampler:
        samplers, first = self._optuna.samplers, self._options.first
        with warnings.catch_warnings():  # options that Optuna calls experimental
            warnings.simplefilter("ignore")
            made: BaseSampler
            match self._options.sampler:
                case "tpe":
                    made = samplers.TPESampler(
                        seed=seed, n_startup_trials=first, multivariate=True, constant_liar=True
                    )
                case "nsga2":
                    made = samplers.NSGAIISampler(
                        seed=seed, population_size=self._options.population
                    )
                case "nsga3":
                    made = samplers.NSGAIIISampler(
                        seed=seed, population_size=self._options.population
                    )
                case _:
                    made = samplers.GPSampler(seed=seed, n_startup_trials=first)
        return made

    def _show(self, candidate: Candidate) -> None:
        if not self._options.storage:
            return
        if self._mirror is None:
            self._mirror = Mirror(self._options.storage, self._options.study)
        limits = {c.metric: c.limit for c in self._problem.constraints}
        if candidate.estimate is not None or candidate.failure is not None:
            self._mirror.put(self._shown, trial_of(self._problem.space, candidate, limits))
            self._shown += 1


def _notes(trial: FrozenTrial) -> dict[str, Any]:
    """What a genetic sampler must find again: the generation it gave a trial."""
    return {k: v for k, v in trial.system_attrs.items() if k.endswith(":generation")}
