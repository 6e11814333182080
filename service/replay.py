"""Replay: configs measured on this machine, interleaved, against what a table predicts.

Says two things of every config: how far the prediction is off, as measured and with the machine
brought to the level it had when the table was made (the same sentinel ran both times); and how
much of its MACs ratio against the dense network arrives as speed-up.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from latency_tables.judge import judge
from latency_tables.predict import Predictor
from latency_tables.table import LatencyTable, MissingShapeError, TableError
from profiler.backend import BackendError, load
from profiler.collect import sentinel_of, session_of
from profiler.families import genes_of_shapes
from profiler.measure import Session
from profiler.models import Whole
from profiler.plan_networks import draw_networks
from profiler.protocol import Protocol
from profiler.stats import paired_ratio
from service.console import progress
from service.pricing import read_config
from service.table_build import every_width
from supernet.arithmetic import count
from supernet.config import ChannelConfig, ConfigError
from supernet.space import SearchSpace

DENSE = "dense"
ALIGNED = 8
MOST = 64
"""Networks of one session; they are in memory together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One config.

    Attributes:
        predicted_ms, upper_ms: by the table; None where it does not reach.
        measured_ms: with its 95 % interval `lo_ms`, `hi_ms`.
        macs_ratio: dense MACs over its own.
        speed_up: dense latency over its own, by passes, with its 95 % interval.
        flags: reasons not to trust the measurement.
    """

    name: str
    macs: int
    params: int
    predicted_ms: float | None
    upper_ms: float | None
    measured_ms: float
    lo_ms: float
    hi_ms: float
    macs_ratio: float
    speed_up: tuple[float, float, float]
    flags: tuple[str, ...]

    @property
    def efficiency(self) -> float:
        """Share of the MACs ratio that arrives as speed-up."""
        return self.speed_up[0] / self.macs_ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """All of them.

    Attributes:
        level: how slow the machine was, against when the table was measured; 1 is alike.
        disturbed: share of rounds that were disturbed.
    """

    target: str
    rows: tuple[Replayed, ...]
    level: float
    disturbed: float
    huge_pages: float | None


def published(table: LatencyTable) -> dict[str, ChannelConfig]:
    """The published configs of the table's topology that come with the program.

    Raises:
        TableError: none fits.
    """
    path = Path(__file__).parent.parent / "configs" / "published.json"
    found = {}
    for item in json.loads(path.read_text(encoding="utf-8"))["configs"]:
        config = ChannelConfig.from_json({k: item[k] for k in ("stem", "stages", "inner")})
        if _fits(table, config):
            found[item["name"]] = config
    if not found:
        raise TableError("no published config has the table's number of stages and bottlenecks")
    return found


def drawn(table: LatencyTable, count_: int, seed: int) -> dict[str, ChannelConfig]:
    """Random networks that the table never saw; every second one has multiples of 8 only."""
    low = 0.125
    space = _covered(table, every_width(table.network, low))
    seen = [row.config for row in table.networks]
    configs = draw_networks(space, count_, np.random.default_rng([977, seed]), taken=seen)
    aligned = [_aligned(space, c) if n % 2 else c for n, c in enumerate(configs)]
    return {f"random-{number}": config for number, config in enumerate(aligned, 1)}


def replay(
    table: LatencyTable, configs: Mapping[str, ChannelConfig], rounds: int, seed: int = 0
) -> Replay:
    """Measures the configs and the dense network, as the table's target was.

    Raises:
        TargetMismatchError: this machine or runtime is not the table's.
        TableError: no config, or too many for one run.
        BackendError: the runtime failed.
    """
    if not 1 <= len(configs) <= MOST:
        raise TableError(f"replay takes 1 to {MOST} configs at once, but got {len(configs)}")
    wanted = table.target
    if wanted.modelled:
        raise TableError(f"replay times configs, but there is nothing to time them on: {wanted}")
    backend = load(wanted.runtime)
    if reason := backend.unavailable():
        raise BackendError(f"backend {backend.name} cannot run here: {reason}")
    target = backend.target(wanted.precision, wanted.batch, wanted.threads)
    table.require(target)
    known = {DENSE: table.network.dense(), **configs}
    models = {name: Whole(table.network, config) for name, config in known.items()}
    with progress("replay") as report:
        session = session_of(
            target,
            models,
            Protocol(rounds=rounds, seed=seed),
            report,
            sentinel=sentinel_of(table.network),
        )
    return _judged(table, known, session)


def _judged(table: LatencyTable, configs: Mapping[str, ChannelConfig], session: Session) -> Replay:
    predictor = Predictor(table)
    levels = table.protocol.get("session_levels_ms") or [session.level]
    rows = [_row(predictor, name, config, configs, session) for name, config in configs.items()]
    return Replay(
        target=str(table.target),
        rows=tuple(rows),
        level=session.level / float(np.median(levels)),
        disturbed=session.disturbed,
        huge_pages=session.huge_pages,
    )


def _row(
    predictor: Predictor,
    name: str,
    config: ChannelConfig,
    configs: Mapping[str, ChannelConfig],
    session: Session,
) -> Replayed:
    network, found = predictor.table.network, session.measurements[name]
    macs, params = count(network, config)
    dense = session.measurements[DENSE]
    ratio = paired_ratio(dense.adjusted, found.adjusted)
    expected: tuple[float, float] | tuple[None, None] = (None, None)
    with suppress(MissingShapeError):
        predicted = predictor.config(config)
        expected = (predicted.predicted, predicted.upper)
    return Replayed(
        name=name,
        macs=macs,
        params=params,
        predicted_ms=expected[0],
        upper_ms=expected[1],
        measured_ms=found.median,
        lo_ms=found.lo,
        hi_ms=found.hi,
        macs_ratio=count(network, configs[DENSE])[0] / macs,
        speed_up=(ratio.median, ratio.lo, ratio.hi),
        flags=found.flags,
    )


def figures(replayed: Replay) -> dict[str, Any]:
    """Errors of the predictions, as measured and at the table's level of the machine."""
    rows = [row for row in replayed.rows if row.predicted_ms is not None]
    predicted = np.array([row.predicted_ms for row in rows], dtype=float)
    measured = np.array([row.measured_ms for row in rows])
    none = np.full(len(rows), np.nan)
    found: dict[str, Any] = {}
    for key, scale in (("as_measured", 1.0), ("at_the_tables_level", replayed.level)):
        held = judge(predicted, measured / scale, none)
        found[key] = {
            "mape_percent": held.mape_percent,
            "within_5_percent": held.within_5_percent,
            "within_10_percent": held.within_10_percent,
            "worst_percent": held.worst_percent,
            "rank_correlation": held.rank_correlation,
        }
        upper = np.array([row.upper_ms for row in rows], dtype=float)
        found[key]["below_upper_percent"] = float(100 * (measured / scale <= upper).mean())
    return found


def read_configs(paths: list[Path]) -> dict[str, ChannelConfig]:
    """Config files, by their names without suffix.

    Raises:
        ConfigError: unreadable, invalid, or two of one name.
    """
    found: dict[str, ChannelConfig] = {}
    for path in paths:
        if path.stem in found or path.stem == DENSE:
            raise ConfigError(f"two configs are called {path.stem!r}")
        found[path.stem] = read_config(path)
    return found


def _aligned(space: SearchSpace, config: ChannelConfig) -> ChannelConfig:
    """The config with every width at the nearest multiple of 8 that the space allows."""
    genes = space.genes([config])[0]
    for gene, width in enumerate(genes):
        allowed = [w for w in space.choices[gene] if w % ALIGNED == 0]
        if allowed:
            genes[gene] = min(allowed, key=lambda w: abs(w - width))
    return space.config(genes)


def _fits(table: LatencyTable, config: ChannelConfig) -> bool:
    try:
        table.network.check(config)
    except ConfigError:
        return False
    return True


def _covered(table: LatencyTable, space: SearchSpace) -> SearchSpace:
    """The part of the space that the table's rows reach."""
    low: dict[str, list[int]] = {name: [] for name in space.names}
    high: dict[str, list[int]] = {name: [] for name in space.names}
    ranges = {
        name: (np.array([s.widths for s in rows]).min(0), np.array([s.widths for s in rows]).max(0))
        for name, rows in table.by_geometry().items()
    }
    for shape, genes in zip(
        space.network.shapes(space.network.dense()), genes_of_shapes(space), strict=True
    ):
        for place, gene in enumerate(genes):
            low[gene].append(int(ranges[shape.geometry][0][place]))
            high[gene].append(int(ranges[shape.geometry][1][place]))
    return space.narrowed(
        {name: range(max(low[name]), min(high[name]) + 1) for name in space.names}
    )
