"""A latency table for this machine without a job: `stairprune table build`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from latency_tables.table import LatencyTable, TableError
from profiler.backend import BackendError, load
from profiler.collect import collect
from profiler.plan import Goals, Planner
from profiler.protocol import Protocol, RowMethod
from service.console import progress
from supernet.network import DEPTHS, NetworkSpec
from supernet.space import SearchSpace


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to measure, and how much of it; `lowest` is the smallest width, as a share of dense."""

    network: str
    resolution: int
    backend: str
    device: str | None = None
    precision: str
    batch: int
    threads: int
    lowest: float
    goals: Goals
    rounds: int
    rows: RowMethod = "isolated"
    seed: int = 0


def build(request: Request, out: Path) -> LatencyTable:
    """Measures a table and writes it; the same call continues after an interruption.

    What was measured so far lies beside the table until it is whole.

    Raises:
        TableError: `out` exists, or the request makes no sense.
        BackendError: the runtime is unknown, cannot run here, or failed.
    """
    if out.exists():
        raise TableError(f"{out} exists; choose another name, or delete it to measure anew")
    if request.network not in DEPTHS:
        raise TableError(
            f"--network must be one of {', '.join(DEPTHS)}, but got {request.network!r}"
        )
    backend = load(request.backend, request.device)
    if reason := backend.unavailable():
        raise BackendError(f"backend {backend.name} cannot run here: {reason}")
    target = backend.target(request.precision, request.batch, request.threads)
    network = NetworkSpec(depths=DEPTHS[request.network], resolution=request.resolution)
    planner = Planner(every_width(network, request.lowest), request.goals, request.seed)
    journal = out.with_name(f"{out.stem}.journal.jsonl")
    with progress(f"{'computing' if target.modelled else 'measuring'} {out.name}") as report:
        table = collect(
            target,
            network,
            planner,
            journal,
            Protocol(rounds=request.rounds, seed=request.seed, rows=request.rows),
            report,
        )
    table.save(out)
    if not target.modelled:  # which leaves any journal alone
        journal.unlink()
    return table


def every_width(network: NetworkSpec, lowest: float) -> SearchSpace:
    """The space of every whole width from `lowest` times the dense one on, inner widths untied.

    Raises:
        TableError: `lowest` is not within 0 and 1.
    """
    if not 0 < lowest < 1:
        raise TableError(f"--lowest must lie between 0 and 1, but got {lowest}")
    dense = network.dense()
    widths = (dense.stem, *dense.stages, *(width for pair in dense.inner for width in pair))
    return SearchSpace(
        network=network,
        choices=tuple(tuple(range(max(1, round(lowest * w)), w + 1)) for w in widths),
        tied=False,
    )
