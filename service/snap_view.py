"""A snapped config in words, and configs by name."""

from __future__ import annotations

from pathlib import Path

from latency_tables.snap import Snapped
from latency_tables.table import LatencyTable, Target
from service.pricing import read_config
from service.replay import published
from supernet.config import ChannelConfig, ConfigError


def named(table: LatencyTable, config: str) -> ChannelConfig:
    """A config file, or a published config by name.

    Raises:
        ConfigError: neither; names the published ones.
    """
    if Path(config).exists():
        return read_config(Path(config))
    known = published(table)
    if config not in known:
        raise ConfigError(f"{config} is no file, and no published config: {', '.join(known)}")
    return known[config]


def describe(found: Snapped, target: Target) -> str:
    """What grew, what it gains and what it costs by prediction."""
    moved = ", ".join(f"{name} {old}->{new}" for name, old, new in found.moved) or "nothing"
    return (
        f"MACs {found.macs_before:,} -> {found.macs_after:,} "
        f"({found.macs_after / found.macs_before - 1:+.1%})\n"
        f"predicted {found.ms_before:.3f} -> {found.ms_after:.3f} ms "
        f"({found.ms_after / found.ms_before - 1:+.1%})\n"
        f"moved: {moved}" + f"\n{target.stamp}" * target.modelled
    )
