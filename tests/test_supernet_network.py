"""Topologies and the shapes of their configs."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from supernet_strategies import networks_with_config

from supernet.config import ChannelConfig, ConfigError
from supernet.network import DEPTHS, NetworkSpec
from supernet.shapes import BlockShape, HeadShape, StemShape, parse_shape

Pair = tuple[NetworkSpec, ChannelConfig]


def test_sizes_of_resnet50() -> None:
    assert NetworkSpec().sizes() == (56, 56, 28, 14, 7)
    assert NetworkSpec(stem="3x3/1", resolution=32).sizes() == (32, 32, 16, 8, 4)


@pytest.mark.parametrize("name", sorted(DEPTHS))
def test_dense_shapes(name: str) -> None:
    network = NetworkSpec(depths=DEPTHS[name])
    stem, first, *rest = network.shapes(network.dense())
    assert stem == StemShape("7x7/2+maxpool", 224, 3, 64)
    assert first == BlockShape(56, 1, "projection", 64, 64, 64, 256)
    assert rest[-2] == BlockShape(7, 1, "identity", 2048, 512, 512, 2048)
    assert rest[-1] == HeadShape(7, 2048, 1000)


@given(networks_with_config())
def test_shapes_chain(pair: Pair) -> None:
    network, config = pair
    stem, *blocks, head = network.shapes(config)
    assert isinstance(stem, StemShape)
    size, width = stem.out_size, stem.cout
    for block in blocks:
        assert isinstance(block, BlockShape)
        assert (block.size, block.cin) == (size, width)
        size, width = block.out_size, block.cout
    assert head == HeadShape(size, width, network.classes)
    assert len(blocks) == sum(w1 > 0 for w1, _ in config.inner)


@given(networks_with_config())
def test_geometry_and_widths_say_everything(pair: Pair) -> None:
    network, config = pair
    for shape in network.shapes(config):
        assert parse_shape(shape.geometry, shape.widths) == shape


SIZES = st.integers(-2, 40)


@given(
    st.text(max_size=20)
    | st.builds("stem:{},{}x{}x{}".format, st.sampled_from(["3x3/2", "x"]), SIZES, SIZES, SIZES)
    | st.builds("block:{}x{}/{},projection".format, SIZES, SIZES, st.integers(-1, 3))
    | st.builds("head:{}x{},{}".format, SIZES, SIZES, SIZES),
    st.lists(st.integers(-2, 9) | st.booleans() | st.floats(), max_size=5).map(tuple),
)
def test_parse_shape_gives_a_usable_shape_or_a_config_error(
    geometry: str, widths: tuple[Any, ...]
) -> None:
    with suppress(ConfigError):
        shape = parse_shape(geometry, widths)
        assert (shape.geometry, shape.widths) == (geometry, widths)
        assert shape.macs > 0


@given(networks_with_config(), st.floats(0.01, 1), st.sampled_from([1, 2, 8]))
def test_uniform_is_aligned_and_no_wider_than_dense(pair: Pair, ratio: float, divisor: int) -> None:
    network = pair[0]
    dense, thin = network.dense(), network.uniform(ratio, divisor)
    network.check(thin)
    for wide, narrow in zip(
        (dense.stem, *dense.stages, *(w for p in dense.inner for w in p)),
        (thin.stem, *thin.stages, *(w for p in thin.inner for w in p)),
        strict=True,
    ):
        assert 1 <= narrow <= wide
        assert narrow % divisor == 0 or narrow == wide


def test_first_block_of_a_stage_cannot_be_removed() -> None:
    network = NetworkSpec(depths=(2, 2))
    inner = network.dense().inner
    network.check(replace(network.dense(), inner=(*inner[:3], (0, 0))))
    with pytest.raises(ConfigError, match=r"inner\[2\] is the first block"):
        network.check(replace(network.dense(), inner=(*inner[:2], (0, 0), inner[3])))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"depths": ()}, "depths must be >= 1"),
        ({"depths": (3, 0)}, "depths must be >= 1"),
        ({"stem": "5x5"}, "stem must be one of 7x7/2"),
        ({"width": 0.0}, "0 < width <= 16"),
        ({"width": float("nan")}, "0 < width <= 16"),
        ({"classes": 0}, "classes must be >= 1"),
    ],
)
def test_bad_network(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        NetworkSpec(**change)
