"""Filling a table: measures what a planner asks for, journals each session, resumes after a kill.

One measurement at a time runs on a device. How models are measured against each other is
`profiler.measure`'s matter, and what is measured next that of `profiler.collector`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from latency_tables.fitting import fit_table
from latency_tables.table import LatencyTable, Measurement, Target
from profiler.assemble import assemble
from profiler.backend import BackendError, BrokenError, load
from profiler.capabilities import lock_name, steady, tuned
from profiler.collector import Collector
from profiler.journal import Journal
from profiler.lock import measuring
from profiler.measure import Progress, Session, quiet
from profiler.modelled.survey import survey, values
from profiler.models import Model, Whole, piece
from profiler.plan import Planner
from profiler.protocol import Protocol
from profiler.recovery import persistently, surely
from profiler.session import run_session
from supernet.network import NetworkSpec
from supernet.shapes import BlockShape

WAIT_S = 600.0
"""How long another measurement on the device is waited for."""
SENTINEL = piece(BlockShape(14, 1, "identity", 256, 64, 64, 256))
"""The sentinel where no network is given."""


def collect(
    target: Target,
    network: NetworkSpec,
    planner: Planner,
    journal: Path,
    protocol: Protocol | None = None,
    progress: Progress = quiet,
    *,
    wait_s: float = WAIT_S,
) -> LatencyTable:
    """Measures what the planner wants and the journal lacks: shapes, chains, whole networks.

    A modelled target is computed at once: the journal stays untouched, and nothing is waited for.

    Args:
        journal: JSON-lines file, created or continued; each session is on the disk when it ends.
        progress: counts shapes, chains and networks, those of earlier runs included.
        wait_s: how long to wait for another measurement on this device to end.

    Returns:
        The table, fitted.

    Raises:
        JournalError: the journal is of another target, network or protocol.
        DeviceBusyError: another measurement still runs on this device after `wait_s` seconds.
        BackendError: the runtime failed, or too many models broke it.
    """
    if target.modelled:
        return fit_table(survey(target, network, planner, progress))
    backend = load(target.runtime)
    protocol = tuned(backend, protocol or Protocol())
    total = planner.total + len(planner.chains) + len(planner.networks)
    with (
        measuring(lock_name(target), wait_s, lambda note: progress(0, total, note)),
        steady(backend, target) as held,
    ):
        book = Journal(journal, held, network, protocol)
        Collector(held, network, planner, book, protocol, progress, sentinel_of(network)).run()
    return fit_table(assemble(book, network, protocol))


def compare(
    target: Target,
    models: Mapping[str, Model],
    protocol: Protocol | None = None,
    progress: Progress = quiet,
    *,
    wait_s: float = WAIT_S,
) -> dict[str, Measurement]:
    """Measures models against each other in one interleaved run; 11 rounds by default.

    Those of a modelled target are computed.

    Rounds of all models are in pass order: `profiler.stats.paired_ratio` compares two of them.

    Raises:
        DeviceBusyError: another measurement still runs on this device after `wait_s` seconds.
        BackendError: the runtime failed.
    """
    if target.modelled:
        return values(target, models)
    session = session_of(target, models, protocol, progress, wait_s=wait_s)
    return dict(session.measurements)


def session_of(
    target: Target,
    models: Mapping[str, Model],
    protocol: Protocol | None = None,
    progress: Progress = quiet,
    *,
    wait_s: float = WAIT_S,
    sentinel: Model = SENTINEL,
) -> Session:
    """As `compare`, with everything the session saw; a modelled target is refused."""
    if target.modelled:
        raise BackendError(f"a session times models, but the target is modelled: {target}")
    backend = load(target.runtime)
    protocol = tuned(backend, protocol or Protocol())
    with (
        measuring(lock_name(target), wait_s, lambda note: progress(0, len(models), note)),
        steady(backend, target) as held,
    ):
        return _together(held, models, protocol, progress, sentinel)


def _together(
    target: Target,
    models: Mapping[str, Model],
    protocol: Protocol,
    progress: Progress,
    sentinel: Model,
) -> Session:
    """One session of all models; where they break it, the error names those that do."""
    try:
        return persistently(lambda: run_session(target, models, sentinel, protocol, progress))
    except BrokenError as error:
        quick = replace(protocol, rounds=1, repeats=0)
        lost = surely(
            list(models),
            lambda names: run_session(target, {n: models[n] for n in names}, sentinel, quick),
            lambda: run_session(target, {"probe": sentinel}, sentinel, quick),
        )
        guilty = ", ".join(found.item for found in lost) or "none of them alone"
        raise BrokenError(f"{error}; the models that break it: {guilty}") from None


def sentinel_of(network: NetworkSpec) -> Model:
    """The model that watches over a table of `network`: it whole, at half of its widths.

    A whole network, because what slows machines slows arithmetic and memory differently, and
    networks are what tables are about.
    """
    return Whole(network, network.uniform(0.5))
