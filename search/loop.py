"""The search loop: ask, price, evaluate, tell, in generations that survive a kill.

Knows nothing of where estimates come from. With the same arguments it always writes the same
bytes, however often it was killed and however many workers evaluated. An evaluation that raises or
gives no finite number makes a failed candidate, and the search goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from search.feasibility import check
from search.fingerprint import fingerprint
from search.goal import Goal
from search.history import History
from search.problem import Problem, SearchError
from search.scoring import Guarded, Outcome
from search.searcher import Candidate, Evaluator, Searcher, load
from search.store import Folder
from supernet.arithmetic import encode
from supernet.config import ChannelConfig

Progress = Callable[[int, int, str], None]
Mapper = Callable[[Guarded, Sequence[ChannelConfig]], Iterable[Outcome]]
"""Like `map`: results in the order of the configs, wherever they were computed."""

_IDLE = 20
_HOPELESS = 20  # failures without a single estimate: the evaluator is broken, not the configs


def run(
    problem: Problem,
    searcher_name: str,
    options: Mapping[str, Any],
    evaluate: Evaluator,
    *,
    seed: int,
    evaluations: int,
    generation: int,
    folder: Path,
    evaluator_id: str = "",
    goal: Goal | None = None,
    mapper: Mapper = map,
    progress: Progress = lambda done, total, note: None,
) -> History:
    """Searches until `evaluations` were made or nothing new is left to ask.

    Called again with the same arguments after a kill, it goes on where it stopped; with more
    `evaluations`, it goes on after the last generation.

    Args:
        generation: configs asked for at once.
        folder: where `search.json` and the journal lie; one search per folder.
        evaluator_id: names what gives the estimates (a checkpoint's digest, say); a folder
            whose estimates come from something else is refused.
        goal: what is wanted instead of the highest estimate.
        mapper: evaluates several configs, in parallel if it likes.

    Raises:
        InfeasibleError: no config meets the limits; nothing is evaluated or written.
        SearchError: bad arguments, a folder of another search, one that another process uses,
            or evaluations that all fail; the folder is new again then.
    """
    if evaluations < 1 or generation < 1:
        raise SearchError(
            f"evaluations and generation must be >= 1, but got {evaluations} and {generation}"
        )
    check(problem)
    searcher = load(searcher_name, problem, seed, **options)
    identity = fingerprint(
        problem, searcher_name, options, seed=seed, generation=generation, evaluator=evaluator_id
    )
    if goal is not None:
        identity["goal"] = [goal.metric, goal.floor]
    files = Folder(folder)
    try:
        with FileLock(folder / "search.lock", timeout=0):
            loop = _Loop(problem, searcher, files, identity, evaluations, generation, goal)
            return loop.run(evaluate, mapper, progress)
    except Timeout:
        raise SearchError(f"another process is searching in {folder}") from None
    finally:
        files.close()


class _Loop:
    """One run over an open folder."""

    def __init__(
        self,
        problem: Problem,
        searcher: Searcher,
        files: Folder,
        identity: Mapping[str, Any],
        evaluations: int,
        generation: int,
        goal: Goal | None,
    ) -> None:
        self.problem = problem
        self.goal = goal
        self.searcher = searcher
        self.files = files
        self.identity = identity
        self.evaluations = evaluations
        self.generation = generation
        self.history = History()
        self.asked: set[ChannelConfig] = set()
        self.done = 0

    def run(self, evaluate: Evaluator, mapper: Mapper, progress: Progress) -> History:
        self._resume()
        before, started = self.done, time.monotonic()
        idle = 0
        while (done := self.done) < self.evaluations and idle < _IDLE:
            configs = self.searcher.ask(min(self.generation, self.evaluations - done))
            if not configs:
                break
            candidates = self._score(self._price(configs), Guarded(evaluate), mapper)
            self.searcher.tell(self.goal.told(candidates) if self.goal else candidates)
            self._add(candidates)
            self._despair()
            self.files.save(self.identity, self.searcher.state(), self.history)
            idle = idle + 1 if self.done == done else 0
            speed = (self.done - before) / max(time.monotonic() - started, 1e-9)
            progress(self.done, self.evaluations, self._note(speed))
        return self.history

    def _add(self, candidates: Sequence[Candidate]) -> None:
        self.history = self.history.extended(candidates)
        self.done += sum(c.estimate is not None or c.failure is not None for c in candidates)

    def _despair(self) -> None:
        failed = self.history.failed
        if len(failed) >= _HOPELESS and not self.history.scored:
            self.files.forget()
            raise SearchError(
                f"each of the first {len(failed)} evaluations failed; the first: "
                f"{failed[0].failure}"
            )

    def _resume(self) -> None:
        loaded = self.files.load(self.identity)
        if loaded is None:
            self.files.save(self.identity, self.searcher.state(), self.history)
            return
        state, history = loaded
        self._add(history.candidates)
        self.asked = {c.config for c in self.history.candidates}
        try:
            self.searcher.restore(state)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise SearchError(
                f"{self.files.result}: the searcher's state is not its own: {error!r}"
            ) from None

    def _price(self, configs: Sequence[ChannelConfig]) -> list[Candidate]:
        for config in configs:
            if config not in self.problem.space or config in self.asked:
                raise SearchError(
                    f"a searcher may ask only new configs of the space, but asked {config}"
                )
            self.asked.add(config)
        costs = self.problem.costs(encode(configs))
        return [
            Candidate(config=config, costs={name: float(cost[at]) for name, cost in costs.items()})
            for at, config in enumerate(configs)
        ]

    def _score(
        self, candidates: list[Candidate], evaluate: Guarded, mapper: Mapper
    ) -> list[Candidate]:
        """The candidates with their outcomes; those that break a limit stay without."""
        fits = self.problem.excess(encode([c.config for c in candidates])) == 0
        feasible = [c.config for c, fit in zip(candidates, fits.tolist(), strict=True) if fit]
        outcomes = dict(self.files.outcomes)
        missing = [config for config in feasible if config not in outcomes]
        for config, outcome in zip(missing, mapper(evaluate, missing), strict=True):
            self.files.note(config, outcome)
            outcomes[config] = outcome
        known = {config: outcomes[config] for config in feasible}
        return [
            Candidate(
                config=c.config,
                costs=c.costs,
                estimate=known[c.config].estimate if c.config in known else None,
                failure=known[c.config].failure if c.config in known else None,
            )
            for c in candidates
        ]

    def _note(self, speed: float) -> str:
        best, failed = self.history.best, len(self.history.failed)
        if self.goal is not None and best is not None:
            best = self.goal.pick(self.history.scored, 1)[0]
        top = f"{best.estimate:.6g}" if best else "none"
        if self.goal is not None and best is not None:
            top += f" at {self.goal.metric} {best.costs[self.goal.metric]:.6g}"
        share = self.done / len(self.history.candidates)
        left = (self.evaluations - self.done) / max(speed, 1e-9)
        return (
            f"best {top}, {share:.0%} feasible, {speed:.3g} evaluations/s, {_duration(left)} left"
            + (f", {failed} failed" if failed else "")
        )


def _duration(seconds: float) -> str:
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
