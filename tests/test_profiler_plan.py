"""Plans: coverage of every geometry, spread of the networks; sweeps and block names."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.plan import Plan, plan
from profiler.sweep import axes, moved, named_shape, sweep
from supernet.arithmetic import encode, macs
from supernet.config import ConfigError
from supernet.network import NetworkSpec
from supernet.shapes import BlockShape, HeadShape, StemShape
from supernet.space import SearchSpace

NETWORK = NetworkSpec(width=0.5, resolution=64)
SPACE = SearchSpace.from_ratios(NETWORK, np.arange(4, 33) / 32)


def by_geometry(found: Plan) -> dict[str, list[tuple[int, ...]]]:
    groups: dict[str, list[tuple[int, ...]]] = {}
    for shape in found.shapes:
        groups.setdefault(shape.geometry, []).append(shape.widths)
    return groups


def test_a_plan_covers_every_geometry_with_the_asked_number_of_points() -> None:
    found = plan(SPACE, 40)
    groups = by_geometry(found)
    dense = {shape.geometry: shape for shape in NETWORK.shapes(NETWORK.dense())}
    assert set(groups) == set(dense)
    assert len(set(found.shapes)) == len(found.shapes)
    smallest = {s.geometry: s for s in NETWORK.shapes(SPACE.smallest())}
    for geometry, widths in groups.items():
        assert dense[geometry].widths in widths
        assert smallest[geometry].widths in widths
        if geometry.startswith("block"):
            assert len(widths) == 40


def test_a_plan_sweeps_each_axis_with_the_others_dense() -> None:
    for geometry, rows in by_geometry(plan(SPACE, 50)).items():
        if not geometry.startswith("block"):
            continue
        cin, w, _, cout = max(rows)
        inner = [row for row in rows if (row[0], row[3]) == (cin, cout)]
        outer = [row for row in rows if row[1:3] == (w, w)]
        assert len({row[1] for row in inner}) >= 10, geometry
        assert len({(row[0], row[3]) for row in outer}) >= 8, geometry
        assert all(row[1] == row[2] for row in rows), "a tied space needs only tied inner widths"
        # what is neither sweep has every axis away from dense somewhere
        assert sum(row[0] < cin and row[1] < w and row[3] < cout for row in rows) >= 10


def test_an_untied_space_moves_the_inner_widths_apart() -> None:
    space = SearchSpace.from_ratios(NETWORK, [0.25, 0.5, 0.75, 1.0], tied=False)
    widths = [s.widths for s in plan(space, 40).shapes if isinstance(s, BlockShape)]
    assert sum(w1 != w2 for _, w1, w2, _ in widths) > len(widths) / 3


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(0.05, 1.0), min_size=1, max_size=12),
    st.integers(2, 60),
    st.booleans(),
    st.booleans(),
    st.integers(0, 5),
)
def test_any_space_gives_a_plan_inside_it(
    ratios: list[float], points: int, tied: bool, removable: bool, seed: int
) -> None:
    network = NetworkSpec(depths=(2, 3), width=0.2, stem="3x3/1", resolution=8, classes=3)
    space = SearchSpace.from_ratios(network, ratios, tied=tied, removable=removable)
    found = plan(space, points, 4, 4, seed)
    assert found == plan(space, points, 4, 4, seed)
    assert all(min(shape.widths) >= 1 for shape in found.shapes)
    assert max(len(group) for group in by_geometry(found).values()) <= max(points, 2)
    allowed = {w for widths in space.choices for w in widths}
    assert all(set(shape.widths) <= allowed for shape in found.shapes)
    assert len({config for config, _ in found.networks}) == len(found.networks)
    for config, _ in found.networks:
        network.check(config)


def test_networks_of_each_role_spread_over_the_macs_and_off_the_grid() -> None:
    found = plan(SPACE, 10, 20, 30)
    dense = macs(NETWORK, encode([NETWORK.dense()]))[0]
    smallest = macs(NETWORK, encode([SPACE.smallest()]))[0] / dense
    for role, count in (("fit", 20), ("held-out", 30)):
        configs = [config for config, of in found.networks if of == role]
        assert len(configs) == count
        share = np.sort(macs(NETWORK, encode(configs)) / dense)
        assert share[0] < smallest + 0.1
        assert share[-1] > 0.75
        assert np.diff(share).max() < 0.2
        inside = sum(config in SPACE for config in configs)
        assert inside == count // 2
        off = [config for config in configs if config not in SPACE]
        assert all(w % 8 for config in off for pair in config.inner for w in pair)


def test_a_plan_refuses_senseless_sizes() -> None:
    with pytest.raises(ConfigError, match="points_per_geometry >= 2"):
        plan(SPACE, 1)
    with pytest.raises(ConfigError, match="networks >= 0"):
        plan(SPACE, 10, -1)


def test_blocks_have_names() -> None:
    network = NetworkSpec()
    assert named_shape(network, "stage3.1") == BlockShape(14, 1, "identity", 1024, 256, 256, 1024)
    assert named_shape(network, "stage3.0") == BlockShape(28, 2, "projection", 512, 256, 256, 1024)
    assert isinstance(named_shape(network, "stem"), StemShape)
    assert isinstance(named_shape(network, "head"), HeadShape)
    with pytest.raises(ConfigError, match=r"one of stem, stage1.0, .*, head, but got 'stage5.0'"):
        named_shape(network, "stage5.0")


def test_sweeps() -> None:
    block = named_shape(NetworkSpec(), "stage3.1")
    assert [s.widths for s in sweep(block, "w", [64, 65])] == [
        (1024, 64, 64, 1024),
        (1024, 65, 65, 1024),
    ]
    assert moved(block, "w1", 8).widths == (1024, 8, 256, 1024)
    assert moved(block, "w2", 8).widths == (1024, 256, 8, 1024)
    assert moved(block, "cin", 8) == moved(block, "cout", 8)
    assert moved(block, "cin", 8).widths == (8, 256, 256, 8)
    projection = named_shape(NetworkSpec(), "stage3.0")
    assert moved(projection, "cin", 8).widths == (8, 256, 256, 1024)
    assert moved(projection, "cout", 8).widths == (512, 256, 256, 8)
    for name in ("stem", "head"):
        shape = named_shape(NetworkSpec(), name)
        assert moved(shape, axes(shape)[0], 7).widths == (7,)
    with pytest.raises(ConfigError, match="axis must be one of cout, but got 'w'"):
        sweep(named_shape(NetworkSpec(), "stem"), "w", [8])
    with pytest.raises(ConfigError, match="width must be >= 1"):
        sweep(block, "w", [0])
