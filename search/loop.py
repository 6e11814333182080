"""The search loop: ask, price, evaluate, tell, in generations that survive a kill.

Knows nothing of where estimates come from. With the same arguments it always writes the same
bytes, however often it was killed and however many workers evaluated.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from search.feasibility import check
from search.fingerprint import fingerprint
from search.history import History
from search.problem import Problem, SearchError
from search.searcher import Candidate, Evaluator, Searcher, load
from search.store import Folder
from supernet.arithmetic import encode
from supernet.config import ChannelConfig

Progress = Callable[[int, int, str], None]
Mapper = Callable[[Evaluator, Sequence[ChannelConfig]], Iterable[float]]
"""Like `map`: results in the order of the configs, wherever they were computed."""

_IDLE = 20


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
    mapper: Mapper = map,
    progress: Progress = lambda done, total, note: None,
) -> History:
    """Searches until `evaluations` estimates are known or nothing new is left to ask.

    Called again with the same arguments after a kill, it goes on where it stopped; with more
    `evaluations`, it goes on after the last generation.

    Args:
        generation: configs asked for at once.
        folder: where `search.json` and the journal lie; one search per folder.
        evaluator_id: names what gives the estimates (a checkpoint's digest, say); a folder
            whose estimates come from something else is refused.
        mapper: evaluates several configs, in parallel if it likes.

    Raises:
        InfeasibleError: no config meets the limits; nothing is evaluated or written.
        SearchError: bad arguments, a folder of another search, one that another process uses,
            or an estimate that is not a finite number.
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
    files = Folder(folder)
    try:
        with FileLock(folder / "search.lock", timeout=0):
            loop = _Loop(problem, searcher, files, identity, evaluations, generation)
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
    ) -> None:
        self.problem = problem
        self.searcher = searcher
        self.files = files
        self.identity = identity
        self.evaluations = evaluations
        self.generation = generation
        self.history = History()
        self.asked: set[ChannelConfig] = set()

    def run(self, evaluate: Evaluator, mapper: Mapper, progress: Progress) -> History:
        self._resume()
        before, started = len(self.history.scored), time.monotonic()
        idle = 0
        while (done := len(self.history.scored)) < self.evaluations and idle < _IDLE:
            configs = self.searcher.ask(min(self.generation, self.evaluations - done))
            if not configs:
                break
            candidates = self._score(self._price(configs), evaluate, mapper)
            self.searcher.tell(candidates)
            self.history = self.history.extended(candidates)
            self.files.save(self.identity, self.searcher.state(), self.history)
            now = len(self.history.scored)
            idle = idle + 1 if now == done else 0
            speed = (now - before) / max(time.monotonic() - started, 1e-9)
            progress(now, self.evaluations, self._note(speed))
        return self.history

    def _resume(self) -> None:
        loaded = self.files.load(self.identity)
        if loaded is None:
            self.files.save(self.identity, self.searcher.state(), self.history)
            return
        state, self.history = loaded
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
        self, candidates: list[Candidate], evaluate: Evaluator, mapper: Mapper
    ) -> list[Candidate]:
        """The candidates with estimates; those that break a limit stay without."""
        fits = self.problem.excess(encode([c.config for c in candidates])) == 0
        estimates = dict(self.files.estimates)
        missing = [
            c.config
            for c, fit in zip(candidates, fits.tolist(), strict=True)
            if fit and c.config not in estimates
        ]
        for config, value in zip(missing, mapper(evaluate, missing), strict=True):
            estimate = float(value)
            if not math.isfinite(estimate):
                raise SearchError(f"an estimate must be finite, but {config} got {estimate}")
            self.files.note(config, estimate)
            estimates[config] = estimate
        return [
            Candidate(config=c.config, costs=c.costs, estimate=estimates[c.config] if fit else None)
            for c, fit in zip(candidates, fits.tolist(), strict=True)
        ]

    def _note(self, speed: float) -> str:
        best = self.history.best
        share = float(np.mean([c.estimate is not None for c in self.history.candidates]))
        top = f"{best.estimate:.6g}" if best else "none"
        return f"best {top}, {share:.0%} feasible, {speed:.3g} evaluations/s"
