"""`EngineRunner`: times an engine on a CUDA device, with events on a stream of its own.

Several runs are captured into one CUDA graph, so that neither queueing them nor the resolution of
events shows in short ones; what is timed is queued behind a graph that is not, so that its launch
is hidden. NVIDIA's trtexec warns where runs vary by more than 2.5 %, and where queueing a run takes
more than 0.8 of what the device needs for it; so do we. Knows neither runtime nor package.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import cycle
from time import perf_counter_ns

import numpy as np

from profiler.backend import BackendError, BrokenError, Remarks
from profiler.gpu.device import Buffer, Device, Handle
from profiler.gpu.engine import Engine
from profiler.gpu.pool import Pool
from profiler.stats import variation

GRAPH_MS = 0.3
"""A graph takes at least this long: a hundred times what its launch leaves unhidden."""
MOST_RUNS = 256
"""Of a graph: more would take longer to capture than they save."""
PROBE = 8
"""Runs that tell what queueing one costs."""
ENQUEUE_SHARE = 0.8
MOST_VARIATION = 0.025
KEPT = 512
"""Timed stretches that the variation is taken of."""
BRIEF = 100
"""Characters of a note on how an engine was built; longer ones are left out."""
MOST_NOTES = 10
ENQUEUE_BOUND = "enqueue-bound"


class EngineRunner:
    """See `profiler.backend.Runner`: at least n runs, and the time of one in ms."""

    def __init__(
        self,
        engine: Engine,
        device: Device,
        clock: Callable[[], int] = perf_counter_ns,
        *,
        pool: Pool | None = None,
    ) -> None:
        """Allocates, warms up and captures.

        Args:
            clock: the host's time in ns.
            pool: memory shared with other engines of the device; by default its own.

        Raises:
            BackendError: the runtime or CUDA refuses.
        """
        self._engine, self._device, self._clock = engine, device, clock
        self._stream = device.stream()
        self._start, self._end = device.event(), device.event()
        self._feeds = (pool or Pool(device)).feeds(list(engine.tensors))
        self._stretches: deque[float] = deque(maxlen=KEPT)
        self._enqueue_bound = False
        self.runs = 1  # of a graph
        self._work: Iterator[Callable[[], None]] = cycle([self._enqueue])
        with self._diagnosed():
            for feed in self._feeds:
                self._bind(feed)
                self._warm()
            self._settle(self._probe())

    def __call__(self, n: int) -> float:
        launches = -(-n // self.runs)
        with self._diagnosed():
            found = self._timed(launches) / (launches * self.runs)
        self._stretches.append(found)
        return found

    def remarks(self) -> Remarks:
        """What its timing was like, and how the engine is built."""
        notes = list(self._built())
        cv = variation(self._stretches) if self._stretches else 0.0
        if cv > MOST_VARIATION:
            notes.append(f"runs vary by {100 * cv:.1f} %")
        if not self._device.graphs:
            notes.append("no CUDA graph")
        elif self._enqueue_bound:
            notes.append(f"{ENQUEUE_BOUND} without a CUDA graph")
        bound = self._enqueue_bound and not self._device.graphs
        return Remarks(flags=(ENQUEUE_BOUND,) if bound else (), notes=tuple(notes))

    def _built(self) -> Iterator[str]:
        """What a row can hold of how the engine was built: not the names of all its kernels."""
        try:
            known = self._engine.notes()
        except BackendError as error:
            yield f"not inspected: {str(error)[:BRIEF]}"
            return
        brief = [f"{name} {value}" for name, value in known.items() if len(value) <= BRIEF]
        yield from (" ".join(note.split()) for note in brief[:MOST_NOTES])

    @contextmanager
    def _diagnosed(self) -> Iterator[None]:
        """Where the runtime fails, asks CUDA, which raises BrokenError if its context is broken."""
        try:
            yield
        except BrokenError:
            raise
        except BackendError:
            self._device.synchronize(self._stream)
            raise

    def _bind(self, feed: Mapping[str, Buffer]) -> None:
        for name, buffer in feed.items():
            self._engine.bind(name, buffer.address)

    def _enqueue(self) -> None:
        self._engine.enqueue(self._stream.handle)

    def _warm(self) -> None:
        """A run outside any graph: the runtime settles what depends on shapes and addresses."""
        self._enqueue()
        self._device.synchronize(self._stream)

    def _timed(self, launches: int) -> float:
        """Milliseconds that `launches` pieces of work take on the device."""
        device, stream = self._device, self._stream
        next(self._work)()
        device.record(self._start, stream)
        for _ in range(launches):
            next(self._work)()
        device.record(self._end, stream)
        device.wait(self._end)
        return device.elapsed_ms(self._start, self._end)

    def _probe(self) -> float:
        """About how long a run takes, in ms; finds out whether queueing it takes longer."""
        began = self._clock()
        for _ in range(PROBE):
            self._enqueue()
        host_ms = (self._clock() - began) / PROBE / 1e6
        self._device.synchronize(self._stream)
        run_ms = self._timed(PROBE) / PROBE
        self._enqueue_bound = host_ms > ENQUEUE_SHARE * run_ms
        return run_ms

    def _settle(self, run_ms: float) -> None:
        """Captures graphs that are long enough; runs queued one by one only look longer."""
        if not self._device.graphs:
            self.runs = _runs(run_ms)
            self._work = cycle([partial(self._queued, feed) for feed in self._feeds])
            return
        while True:
            self.runs = max(self.runs, _runs(run_ms))
            self._work = cycle([self._captured(feed) for feed in self._feeds])
            took = self._timed(1)
            if took >= GRAPH_MS or self.runs >= MOST_RUNS:
                return
            run_ms = min(took / self.runs, GRAPH_MS / (self.runs + 1))

    def _captured(self, feed: Mapping[str, Buffer]) -> Callable[[], None]:
        self._bind(feed)
        self._warm()
        graph: Handle = self._device.capture(self._stream, self._several)
        return partial(self._device.launch, graph, self._stream)

    def _queued(self, feed: Mapping[str, Buffer]) -> None:
        self._bind(feed)
        self._several()

    def _several(self) -> None:
        for _ in range(self.runs):
            self._enqueue()


def _runs(run_ms: float) -> int:
    return min(MOST_RUNS, max(1, int(np.ceil(GRAPH_MS / max(run_ms, 1e-6)))))
