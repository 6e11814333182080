"""Hypothesis strategies for small networks, their configs and search spaces."""

from __future__ import annotations

from hypothesis import strategies as st

from supernet.config import ChannelConfig
from supernet.network import NetworkSpec
from supernet.shapes import STEM_KINDS
from supernet.space import SearchSpace


def networks() -> st.SearchStrategy[NetworkSpec]:
    """Topologies of one to three stages with base widths from 2 to 8."""
    return st.builds(
        NetworkSpec,
        depths=st.lists(st.integers(1, 2), min_size=1, max_size=3).map(tuple),
        width=st.sampled_from([2 / 64, 5 / 64, 8 / 64]),
        stem=st.sampled_from(STEM_KINDS),
        resolution=st.integers(7, 24),
        channels=st.integers(1, 3),
        classes=st.integers(1, 12),
    )


@st.composite
def configs_of(draw: st.DrawFn, network: NetworkSpec) -> ChannelConfig:
    """Configs that fit `network`, with removed blocks and untied inner widths among them."""
    widths = st.integers(1, 20)
    pairs = st.tuples(widths, widths)
    inner = tuple(
        draw(pairs if index == 0 else st.one_of(st.just((0, 0)), pairs))
        for _, index in network.positions()
    )
    stages = tuple(draw(widths) for _ in network.depths)
    return ChannelConfig(draw(widths), stages, inner)


@st.composite
def networks_with_config(draw: st.DrawFn) -> tuple[NetworkSpec, ChannelConfig]:
    network = draw(networks())
    return network, draw(configs_of(network))


@st.composite
def spaces(draw: st.DrawFn) -> SearchSpace:
    """Spaces of up to four ratios, tied or not, with or without removable blocks."""
    ratios = st.sampled_from([0.2, 0.25, 0.4, 0.5, 0.75, 1.0])
    return SearchSpace.from_ratios(
        draw(networks()),
        draw(st.lists(ratios, min_size=1, max_size=4)),
        divisor=draw(st.sampled_from([1, 2])),
        tied=draw(st.booleans()),
        removable=draw(st.booleans()),
    )


def seeds() -> st.SearchStrategy[int]:
    return st.integers(0, 2**32 - 1)
