"""A small table with one of everything, as what readers are given, and limits to their memory."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from latency_tables_synthetic import SPEC, TARGET, table

from latency_tables.fitting import fit_table
from latency_tables.frames import FORMATS, export, load_any, to_pandas
from latency_tables.table import ChainRow, LatencyTable, Roof
from profiler.journal import Journal
from profiler.protocol import Protocol
from supernet.shapes import HeadShape

MEMORY = 300 << 20  # bytes that a reader may take


def small() -> LatencyTable:
    """A table with one of everything, and a fit of its smallest geometry."""
    full = fit_table(table(points=1, networks=6))
    assert full.fitted is not None
    rows = {shape: found for shape, found in full.rows.items() if isinstance(shape, HeadShape)}
    (head, found), *_ = rows.items()
    return replace(
        full,
        rows={
            head: replace(
                found,
                rounds=(1.0, 1.5),
                levels=(1.0, 1.25),
                flags=("unstable",),
                notes=("runs vary",),
                isolated=1.75,
            )
        },
        chains=(ChainRow(pieces=tuple(rows), measurement=found),),
        networks=full.networks[:1],
        roof=Roof(gmacs=50.0, gbytes=9.5),
        fitted=replace(full.fitted, models={head.geometry: full.fitted.models[head.geometry]}),
    )


TABLE = small()
TEXT = TABLE.dumps()
FRAME = to_pandas(TABLE)
CONFIG = json.dumps(TABLE.networks[0].config.to_json())
JOB = """name: j
network: {depths: [1, 2], width: 0.25, stem: 3x3/1, resolution: 8, channels: 1, classes: 10}
data: {name: digits}  # a comment
limits:
  macs: 60%
  latency_ms: 1.5
capacity: {recipe: {epochs: 4, batch: 32, lr: 0.1}}
supernet: {recipe: {epochs: 4, batch: 32, lr: 0.1}}
train: {teacher: {epochs: 4, batch: 32, lr: 0.1}, recipe: {epochs: 4, batch: 32, lr: 0.1}}
"""
PROTOCOL = Protocol(rounds=2)


@contextmanager
def prepared(path: Path) -> Iterator[Path]:
    """A folder for files; nothing in it has to survive a power cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: None)
        for suffix in FORMATS:  # once before memory is limited: threads start, caches fill
            exported(path, suffix)
            assert load_any(path / f"base{suffix}") == TABLE
        yield path


def exported(folder: Path, name: str) -> bytes:
    path = folder / f"base{name}"
    if not path.exists():
        export(TABLE, path)
    return path.read_bytes()


def journal(path: Path) -> bytes:
    """A journal with one of everything."""
    if not path.exists():
        book = Journal(path, TARGET, SPEC, PROTOCOL)
        book.add(
            level=1.0,
            sentinel=[1.0, 1.5],
            rows=TABLE.rows,
            chains={chain.pieces: chain.measurement for chain in TABLE.chains},
            networks=TABLE.networks,
        )
        book.set_roof(Roof(gmacs=50.0, gbytes=9.5))
        book.lose(TABLE.chains[0].pieces, "it ended the process")
        book.lose(TABLE.networks[0].config, "it ended the process")
    return path.read_bytes()


def memory() -> dict[str, int]:
    """Bytes of this process: address space, resident, resident at most since it was limited."""
    lines = Path("/proc/self/status").read_text().splitlines()
    pairs = (line.split()[:2] for line in lines if line.startswith(("VmSize", "VmRSS", "VmHWM")))
    return {name.rstrip(":"): 1024 * int(size) for name, size in pairs}


def limit_memory() -> None:
    """Lets this process have `MEMORY` more bytes of address space than it has."""
    Path("/proc/self/clear_refs").write_text("5")  # forgets the most that was resident
    resource.setrlimit(resource.RLIMIT_AS, (memory()["VmSize"] + MEMORY, resource.RLIM_INFINITY))
