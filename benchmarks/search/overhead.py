"""What the search loop itself costs: everything but scoring, with files written as in a job.

The loop runs with an evaluator that costs nothing and each searcher, in generations of 40; time
that the searcher takes is told apart from the loop's. Not run by itself; see `benchmarks.search`.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.search.cases import Case
from search import loop
from search.searcher import Candidate, Searcher, load
from supernet.config import ChannelConfig

GENERATION = 40


class _Timed:
    """A searcher that adds up the time of its own asks, tells and states."""

    def __init__(self, searcher: Searcher) -> None:
        self.inner, self.seconds = searcher, 0.0
        self.summary = searcher.summary

    def ask(self, n: int) -> Sequence[ChannelConfig]:
        with self._clock():
            return self.inner.ask(n)

    def tell(self, candidates: Sequence[Candidate]) -> None:
        with self._clock():
            self.inner.tell(candidates)

    def state(self) -> dict[str, Any]:
        with self._clock():
            return self.inner.state()

    def restore(self, state: dict[str, Any]) -> None:
        self.inner.restore(state)

    @contextmanager
    def _clock(self) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - started


def overhead(case: Case, searcher: str, evaluations: int) -> dict[str, Any]:
    """Milliseconds per scored candidate of the loop, and of the searcher, each on its own."""
    made: list[_Timed] = []

    def timed(*given: Any, **options: Any) -> _Timed:
        made.append(_Timed(load(*given, **options)))
        return made[-1]

    with tempfile.TemporaryDirectory() as folder, mock.patch.object(loop, "load", timed):
        started = time.perf_counter()
        history = loop.run(
            case.problem,
            searcher,
            {},
            case.accuracy,
            seed=0,
            evaluations=evaluations,
            generation=GENERATION,
            folder=Path(folder),
        )
        seconds = time.perf_counter() - started
    scored = [c.config for c in history.scored]
    started = time.perf_counter()
    for config in scored:
        case.accuracy(config)
    scoring = time.perf_counter() - started
    inside = made[0].seconds
    return {
        "case": case.name,
        "searcher": searcher,
        "evaluations": len(scored),
        "loop_ms": 1000 * (seconds - inside - scoring) / len(scored),
        "searcher_ms": 1000 * inside / len(scored),
    }
