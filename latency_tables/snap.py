"""Snapping: a config's widths moved to larger ones where the table says that costs no time.

A width left of a right edge can be had wider for the same latency, and an unaligned one often for
less. Time saved by one width may be spent on another: the network as a whole never gets slower, by
prediction. Wider layers hold more MACs, and that is all this knows of accuracy.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from latency_tables.predict import Predictor
from latency_tables.widening import widen
from supernet.arithmetic import decode, encode, macs
from supernet.config import ChannelConfig, ConfigError
from supernet.network import NetworkSpec

GROWTH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapped:
    """What snapping did.

    Attributes:
        config: the result.
        macs_before, macs_after: multiply-adds of one image.
        ms_before, ms_after: predicted latency.
        moved: for each width that grew, its name as in a search space, from what and to what.
    """

    config: ChannelConfig
    macs_before: int
    macs_after: int
    ms_before: float
    ms_after: float
    moved: tuple[tuple[str, int, int], ...]

    def to_json(self) -> dict[str, Any]:
        """The dict form, ready for `json.dumps`."""
        moved = [{"width": name, "from": old, "to": new} for name, old, new in self.moved]
        return {**asdict(self), "config": self.config.to_json(), "moved": moved}


def snap(
    config: ChannelConfig,
    predictor: Predictor,
    *,
    max_growth: int = GROWTH,
    tied: bool = False,
    budget_ms: float | None = None,
) -> Snapped:
    """Widens a config as far as its latency allows, for the most MACs gained.

    Widths stay within what was measured and within the dense network; removed blocks stay removed.

    Args:
        config: of the table's network.
        predictor: prices it.
        max_growth: the most channels that any width may gain.
        tied: the two inner widths of a block move together.
        budget_ms: predicted latency that the result may take; by default what the config takes.

    Raises:
        ConfigError: not a config of the network; or `tied` where inner widths differ.
        MissingShapeError: a width outside what was measured.
        ValueError: max_growth < 0, or a budget below the config's own predicted latency.
    """
    before = predictor.config(config).predicted
    if max_growth < 0:
        raise ValueError(f"max_growth must be >= 0 channels, but got {max_growth}")
    if budget_ms is not None and budget_ms < before:
        raise ValueError(
            f"budget_ms must be at least what the config is predicted to take ({before:.4g} ms), "
            f"since widths only grow; got {budget_ms:.4g}"
        )
    network = predictor.table.network
    row = encode([config])[0]
    wider = widen(
        row,
        predictor,
        groups=_groups(config, network, tied),
        most=max_growth,
        limit_ms=before if budget_ms is None else budget_ms,
    )
    names = _names(network)
    rows = np.stack([row, wider])
    ms, _ = predictor.predict(rows[1:])
    weights = macs(network, rows)
    return Snapped(
        config=decode(network, wider),
        macs_before=int(weights[0]),
        macs_after=int(weights[1]),
        ms_before=before,
        ms_after=float(ms[0]),
        moved=tuple((names[c], int(row[c]), int(wider[c])) for c in np.flatnonzero(wider > row)),
    )


def _groups(config: ChannelConfig, network: NetworkSpec, tied: bool) -> list[list[int]]:
    """Columns of a row that move together; those of removed blocks do not move."""
    first = 1 + len(network.depths)
    groups = [[column] for column in range(first)]
    for number, (w1, w2) in enumerate(config.inner):
        pair = [first + 2 * number, first + 2 * number + 1]
        if tied and w1 != w2:
            raise ConfigError(
                f"tied inner widths must be equal, but inner[{number}] is {[w1, w2]}; "
                "snap it untied"
            )
        if w1:
            groups += [pair] if tied else [pair[:1], pair[1:]]
    return groups


def _names(network: NetworkSpec) -> list[str]:
    stages = [f"stage{stage + 1}" for stage in range(len(network.depths))]
    blocks = [f"{stage + 1}.{index}" for stage, index in network.positions()]
    return ["stem", *stages, *(f"{block}.{axis}" for block in blocks for axis in ("w1", "w2"))]
