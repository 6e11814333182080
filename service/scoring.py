"""Scoring of configs in several processes; how many changes no score.

Each process holds the supernet and the images, and computes with as many CPU threads as the one
that started it: the number of threads changes the order of sums, the number of processes does not.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from search.loop import Mapper
from search.scoring import Guarded, Outcome
from search.searcher import Evaluator
from service.job import Job
from supernet.config import ChannelConfig

if TYPE_CHECKING:
    from supernet.estimate import Estimator

_worker: list[Guarded] = []  # of this process, if it is one that scores


@contextmanager
def mapper(job: Job, evaluate: Evaluator) -> Iterator[Mapper]:
    """How the search scores a generation: here, or in the job's number of processes."""
    if job.spec.supernet.workers == 1 or job.spec.search.objective != "estimate":
        yield map
        return
    from supernet.estimate import Estimator

    assert isinstance(evaluate, Estimator)
    with pooled(evaluate, job.spec.supernet.workers) as scoring:
        yield scoring


@contextmanager
def pooled(estimator: Estimator, workers: int) -> Iterator[Mapper]:
    """A mapper over `workers` processes, which end with the block, or with this process."""
    import torch

    # Bytes, not the object: torch would share its tensors through /dev/shm, which may be tiny.
    start = (pickle.dumps(estimator), torch.get_num_threads())
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, _begin, start)

    def scoring(guarded: Guarded, configs: Sequence[ChannelConfig]) -> Iterator[Outcome]:
        known = estimator.known(configs)
        missing = [config for config in configs if config not in known]
        found = zip(missing, pool.map(_score, missing), strict=True)
        for config in configs:
            if config in known:
                yield Outcome(estimate=known[config])
            else:
                yield next(found)[1]

    try:
        yield scoring
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(estimator: bytes, threads: int) -> None:
    import torch

    torch.set_num_threads(threads)
    _worker.append(Guarded(pickle.loads(estimator)))
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    """Ends this process with the one that started it, however that one ends."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _score(config: ChannelConfig) -> Outcome:
    return _worker[0](config)
