"""Scoring of configs in several processes, here and on other hosts; how many changes no score.

Each process holds the supernet and the images, and computes with as many CPU threads as the one
that started it: the number of threads changes the order of sums, the number of processes does not.
With cuda each has a GPU, as long as there are enough.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.loop import Mapper
from search.scoring import Guarded, Outcome
from search.searcher import Evaluator
from service.job import Job
from service.scoring_far import Far, Score, serve
from service.store import RunError
from supernet.config import ChannelConfig

if TYPE_CHECKING:
    from supernet.estimate import Estimator

_worker: list[Guarded] = []  # of this process, if it is one that scores


@contextmanager
def mapper(job: Job, evaluate: Evaluator) -> Iterator[Mapper]:
    """How the search scores a generation: here, in the job's processes, on all its hosts."""
    workers, hosts = job.spec.supernet.workers, job.gathering.hosts
    if job.spec.search.objective != "estimate" or workers == hosts == 1:
        yield map
        return
    from supernet.estimate import Estimator

    assert isinstance(evaluate, Estimator)
    if hosts == 1:
        with pooled(evaluate, workers) as scoring:
            yield scoring
        return
    with Far(job.gathering.address, alike(evaluate)) as far, spread(evaluate, workers, far) as all_:
        job.gathering.meet(**far.place)
        yield all_


@contextmanager
def pooled(estimator: Estimator, workers: int) -> Iterator[Mapper]:
    """A mapper over `workers` processes, which end with the block, or with this process."""
    with _processes(estimator, workers) as pool:

        def scoring(guarded: Guarded, configs: Sequence[ChannelConfig]) -> Iterator[Outcome]:
            known = estimator.known(configs)
            missing = [config for config in configs if config not in known]
            return _filled(configs, known, pool.map(_score, missing))

        yield scoring


@contextmanager
def spread(estimator: Estimator, workers: int, far: Far) -> Iterator[Mapper]:
    """A mapper over `workers` processes here, and those of other hosts."""
    with ExitStack() as stack:
        pool: list[Score] = []
        if workers > 1:
            processes = stack.enter_context(_processes(estimator, workers))
            pool = [lambda config: processes.submit(_score, config).result()] * workers

        def scoring(guarded: Guarded, configs: Sequence[ChannelConfig]) -> Iterator[Outcome]:
            known = estimator.known(configs)
            missing = [config for config in configs if config not in known]
            here = guarded if workers == 1 else None
            outcomes = far.outcomes(missing, here, pool)
            return _filled(configs, known, _kept(estimator, missing, outcomes))

        yield scoring


def _kept(
    estimator: Estimator, configs: Sequence[ChannelConfig], outcomes: Iterator[Outcome]
) -> Iterator[Outcome]:
    """The same, remembered: other hosts keep nothing."""
    for config, outcome in zip(configs, outcomes, strict=True):
        if outcome.estimate is not None:
            estimator.keep(config, outcome.estimate)
        yield outcome


def _filled(
    configs: Sequence[ChannelConfig],
    known: Mapping[ChannelConfig, float],
    outcomes: Iterator[Outcome],
) -> Iterator[Outcome]:
    """Outcomes of all, of which those that are not known come in this order."""
    for config in configs:
        yield Outcome(estimate=known[config]) if config in known else next(outcomes)


@contextmanager
def _processes(estimator: Estimator, workers: int) -> Iterator[ProcessPoolExecutor]:
    import torch

    context = multiprocessing.get_context("spawn")
    # Bytes, not the object: torch would share its tensors through /dev/shm, which may be tiny.
    start = (pickle.dumps(estimator), torch.get_num_threads(), context.Value("i", 0))
    pool = ProcessPoolExecutor(workers, context, _begin, start)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(estimator: bytes, threads: int, begun: Any) -> None:
    import torch

    torch.set_num_threads(threads)
    own: Estimator = pickle.loads(estimator)
    with begun.get_lock():
        number, begun.value = begun.value, begun.value + 1
    _place(own, number)
    _worker.append(Guarded(own))
    follow_parent()


def _place(estimator: Estimator, number: int) -> None:
    """With cuda the process of this number gets a GPU of its own, as long as there are enough."""
    import torch

    if next(estimator.supernet.parameters()).is_cuda:
        estimator.supernet.to(f"cuda:{number % torch.cuda.device_count()}")


def follow_parent() -> None:
    """Ends this process with the one that started it, however that one ends."""
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _score(config: ChannelConfig) -> Outcome:
    return _worker[0](config)


def alike(estimator: Estimator) -> list[object]:
    """What decides scores, the machine included: other CPUs may round otherwise."""
    from profiler import machine

    return [*estimator.decides(), machine.device()]


def join(job: Job, folder: Path, place: Mapping[str, Any], number: int) -> None:
    """The part of another host: as many processes as the job has on each.

    Raises:
        RunError: one of them ended early.
    """
    workers = job.spec.supernet.workers
    context = multiprocessing.get_context("spawn")
    arguments = (job.spec.model_dump_json(), str(job.folder.path), dict(place))
    begun = [context.Process(target=_join, args=(*arguments, n)) for n in range(workers)]
    for process in begun:
        process.start()
    for process in begun:
        process.join()
    if codes := [process.exitcode for process in begun if process.exitcode]:
        raise RunError(f"scoring on host {number} ended with exit code {codes[0]}, see above")


def _join(spec: str, run: str, place: dict[str, Any], number: int) -> None:
    from service.spec import JobSpec
    from service.stages.supernet import estimator
    from service.store import RunFolder

    follow_parent()
    found = estimator(Job(JobSpec.model_validate_json(spec), RunFolder(Path(run))), keeps=False)
    _place(found, number)
    serve(place, alike(found), Guarded(found))
