"""MACs and params: published figures, and agreement with the shapes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from supernet_strategies import configs_of, networks_with_config

from supernet.arithmetic import count, decode, encode, macs, params
from supernet.config import ChannelConfig, ConfigError
from supernet.network import NetworkSpec
from supernet.shapes import BlockShape, HeadShape, StemShape

PUBLISHED: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent.parent / "configs" / "published.json").read_text()
)["configs"]
Pair = tuple[NetworkSpec, ChannelConfig]


@pytest.mark.parametrize("entry", PUBLISHED, ids=lambda entry: str(entry["name"]))
def test_published_config_has_its_published_figures(entry: dict[str, Any]) -> None:
    config = ChannelConfig.from_json({key: entry[key] for key in ("stem", "stages", "inner")})
    assert count(NetworkSpec(), config) == (entry["macs"], entry["params"])
    assert entry["source"]


def test_plain_resnet50() -> None:
    network = NetworkSpec()
    assert count(network, network.dense()) == (4_089_184_256, 25_557_032)


@given(networks_with_config())
def test_macs_are_the_sum_over_shapes(pair: Pair) -> None:
    network, config = pair
    assert count(network, config)[0] == sum(shape.macs for shape in network.shapes(config))


@given(networks_with_config())
def test_params_are_the_sum_over_shapes(pair: Pair) -> None:
    network, config = pair
    total = 0
    for shape in network.shapes(config):
        match shape:
            case StemShape():
                total += shape.kernel**2 * shape.channels * shape.cout + 2 * shape.cout
            case BlockShape(cin=cin, w1=w1, w2=w2, cout=cout):
                total += cin * w1 + 9 * w1 * w2 + w2 * cout + 2 * (w1 + w2 + cout)
                total += (cin * cout + 2 * cout) * (shape.shortcut == "projection")
            case HeadShape():
                total += (shape.cin + 1) * shape.classes
    assert count(network, config)[1] == total


@given(networks_with_config(), st.data())
def test_costs_grow_strictly_in_every_width(pair: Pair, data: st.DataObject) -> None:
    network, config = pair
    row = encode([config])[0]
    present = np.flatnonzero(row)
    rows = np.repeat(row[None], len(present), axis=0)
    rows[np.arange(len(present)), present] += data.draw(st.integers(1, 9))
    assert (macs(network, rows) > count(network, config)[0]).all()
    assert (params(network, rows) > count(network, config)[1]).all()


@given(networks_with_config(), st.data())
def test_encode_and_decode(pair: Pair, data: st.DataObject) -> None:
    network, first = pair
    configs = [first, *data.draw(st.lists(configs_of(network), max_size=3))]
    rows = encode(configs)
    assert rows.shape == (len(configs), 1 + len(network.depths) + 2 * sum(network.depths))
    assert [decode(network, row) for row in rows] == configs
    assert [count(network, c) for c in configs] == list(
        zip(macs(network, rows).tolist(), params(network, rows).tolist(), strict=True)
    )


def test_config_of_other_depths_is_refused() -> None:
    network = NetworkSpec()
    config = replace(network.dense(), stages=(256, 512, 1024))
    with pytest.raises(ConfigError, match="4 stages and 16 inner pairs, but got 3 and 16"):
        count(network, config)
