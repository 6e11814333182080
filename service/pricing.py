"""Price of one config: MACs, params and, with a table, predicted latency. No torch."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from service.plain import plain
from service.spec import load
from supernet.arithmetic import count
from supernet.config import ChannelConfig, ConfigError
from supernet.network import DEPTHS, NetworkSpec


def read_config(path: Path) -> ChannelConfig:
    """A config from a JSON file.

    Raises:
        ConfigError: unreadable or invalid; the message names the file.
    """
    try:
        return ChannelConfig.parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ConfigError) as error:
        raise ConfigError(f"{path}: {error}") from None


def price(config: str, table: str | None, job: Path | None) -> dict[str, Any]:
    """The priced config as JSON-able data.

    Args:
        config: a file, or the name of a dense network.
        table: a file or the name of a shipped table; prices latency, its network is used.
        job: gives the network where no table does.
    """
    from latency_tables.shipped import load as load_table

    network = NetworkSpec()
    measured = load_table(table) if table is not None else None
    if measured is not None:
        network = measured.network
    elif job is not None:
        network = load(job).network
    if config in DEPTHS:
        if measured is None and job is None:
            network = NetworkSpec(depths=DEPTHS[config])
        wanted = network.dense()
    else:
        wanted = read_config(Path(config))
        if measured is None and job is None:
            network = network_of(wanted)
    macs, params = count(network, wanted)
    result: dict[str, Any] = {"macs": macs, "params": params}
    if measured is not None:
        from latency_tables.predict import Predictor

        predictor = Predictor(measured)
        prediction = predictor.config(wanted)
        result["latency_ms"] = {"predicted": prediction.predicted, "upper": prediction.upper}
        result["target"] = str(measured.target)
        result["origin"] = measured.target.origin
        result["held_out"] = plain(asdict(predictor.held_out))
        result["bound"] = asdict(predictor.bound)
        result["fingerprint"] = measured.fingerprint
    return result


def network_of(config: ChannelConfig, resolution: int = 224) -> NetworkSpec:
    """ResNet-50, 101 or 152, by the number of blocks.

    Raises:
        ConfigError: another number of blocks.
    """
    for depths in DEPTHS.values():
        if sum(depths) == len(config.inner) and len(depths) == len(config.stages):
            return NetworkSpec(depths=depths, resolution=resolution)
    known = ", ".join(f"{sum(d)} ({name})" for name, d in DEPTHS.items())
    raise ConfigError(
        f"a config has one of {known} inner pairs unless --job or --table gives the network; "
        f"got {len(config.inner)}"
    )
