"""From a journal to a table: every session brought to the same level of the machine."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np

from latency_tables.table import ChainRow, LatencyTable, Measurement, NetworkRow
from profiler.journal import Found, Journal, named
from profiler.protocol import Protocol
from profiler.stats import measurement
from supernet.network import NetworkSpec


def assemble(book: Journal, network: NetworkSpec, protocol: Protocol) -> LatencyTable:
    """The table of everything in the journal.

    A session's level is the sentinel's latency in it; where the protocol corrects for the
    machine's level, rounds are divided by how far that was off the median of all sessions.
    """
    usual = float(np.median(book.levels)) if book.levels else 1.0
    scale = [level / usual if protocol.correct else 1.0 for level in book.levels]

    def level(found: Found) -> Measurement:
        return _at(found.measurement, scale[found.session])

    lost = [{**named(what), "reason": reason} for what, reason in book.lost.items()]
    return LatencyTable(
        target=book.target,
        network=network,
        rows={shape: level(found) for shape, found in book.rows.items()},
        chains=tuple(
            ChainRow(pieces=pieces, measurement=level(found))
            for pieces, found in book.chains.items()
        ),
        networks=tuple(
            NetworkRow(config=config, measurement=level(found), role=role)
            for config, (role, found) in book.networks.items()
        ),
        protocol={
            **asdict(protocol),
            "session_levels_ms": list(book.levels),
            **({"lost": lost} if lost else {}),
        },
        sentinel=tuple(book.sentinel),
        roof=book.roof,
    )


def _at(found: Measurement, scale: float) -> Measurement:
    levels = found.levels or (1.0,) * len(found.rounds)
    at = measurement(found.rounds, found.flags, levels=[scale * level for level in levels])
    isolated = None if found.isolated is None else found.isolated / scale
    return replace(at, notes=found.notes, isolated=isolated)
