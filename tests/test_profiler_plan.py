"""Plans: coverage, bisection, filling until the error is small; sweeps and block names."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latency_tables.table import Measurement
from profiler.families import families
from profiler.plan import Goals, Planner
from profiler.sweep import axes, moved, named_shape, sweep
from supernet.arithmetic import encode, macs
from supernet.config import ConfigError
from supernet.network import NetworkSpec
from supernet.shapes import BlockShape, HeadShape, Shape, StemShape
from supernet.space import SearchSpace

NETWORK = NetworkSpec(width=0.5, resolution=64)
SPACE = SearchSpace.from_ratios(NETWORK, np.arange(4, 33) / 32)
SMALL = NetworkSpec(depths=(2, 2), width=0.5, stem="3x3/1", resolution=8, classes=3)


def every_width(network: NetworkSpec, lowest: float) -> SearchSpace:
    dense = network.dense()
    widths = (dense.stem, *dense.stages, *(w for pair in dense.inner for w in pair))
    choices = tuple(tuple(range(max(1, int(lowest * w)), w + 1)) for w in widths)
    return SearchSpace(network=network, choices=choices, tied=False)


def stepped(edge: int) -> Callable[[Shape], float]:
    """A device that rounds channels up to `edge`."""

    def up(width: int) -> int:
        return -(-width // edge) * edge

    def cost(shape: Shape) -> float:
        if not isinstance(shape, BlockShape):
            return 0.01 + 1e-4 * up(shape.widths[0])
        cin, w1, w2, cout = map(up, shape.widths)
        work = shape.size**2 * cin * w1 + shape.out_size**2 * (9 * w1 * w2 + w2 * cout)
        work += shape.out_size**2 * cin * cout * (shape.shortcut == "projection")
        return 0.02 + 1e-6 * work

    return cost


def measured(
    planner: Planner, cost: Callable[[Shape], float], noise: float = 0.0
) -> tuple[dict[Shape, Measurement], int]:
    """What a planner asks for, and in how many turns."""
    rng = np.random.default_rng(0)
    rows: dict[Shape, Measurement] = {}
    for turn in range(1000):
        wanted = planner.next(rows)
        if not wanted:
            return rows, turn
        assert len(set(wanted)) == len(wanted)
        assert not rows.keys() & set(wanted)
        for shape in wanted:
            ms = cost(shape) * float(np.exp(noise * rng.standard_normal()))
            rows[shape] = Measurement(
                median=ms, lo=ms * (1 - 2 * noise), hi=ms * (1 + 2 * noise), rounds=(ms,)
            )
    raise AssertionError("the planner never had enough")


def by_geometry(rows: dict[Shape, Measurement]) -> dict[str, list[tuple[int, ...]]]:
    groups: dict[str, list[tuple[int, ...]]] = {}
    for shape in rows:
        groups.setdefault(shape.geometry, []).append(shape.widths)
    return groups


def test_a_plan_covers_every_geometry_and_keeps_to_its_points() -> None:
    planner = Planner(SPACE, Goals(points_per_geometry=40, target_error_percent=1e-9))
    rows, _ = measured(planner, stepped(8), noise=0.02)
    groups = by_geometry(rows)
    dense = {shape.geometry: shape for shape in NETWORK.shapes(NETWORK.dense())}
    smallest = {s.geometry: s for s in NETWORK.shapes(SPACE.smallest())}
    assert set(groups) == set(dense)
    for geometry, widths in groups.items():
        assert dense[geometry].widths in widths
        assert smallest[geometry].widths in widths
        assert len(widths) <= (40 if geometry.startswith("block") else 13)
        if geometry.startswith("block"):
            assert len(widths) == 40


def test_bisection_locates_steps_exactly_and_measures_every_width_around_one() -> None:
    space = every_width(NETWORK, 0.25)
    rows, _ = measured(Planner(space, Goals(points_per_geometry=120)), stepped(16))
    for family in families(space):
        if not isinstance(family.dense, BlockShape) or family.dense.cout < 512:
            continue
        cost = stepped(16)
        line = [w for w in family.widths("w") if moved(family.dense, "w", w) in rows]
        steps = [
            a
            for a, b in pairwise(line)
            if b == a + 1
            and cost(moved(family.dense, "w", b)) > cost(moved(family.dense, "w", a)) * 1.01
        ]
        assert steps, family.dense.geometry
        assert all(step % 16 == 0 for step in steps)
        dense_window = max(
            sum(1 for w in line if a <= w < a + 33) for a in range(line[0], line[-1])
        )
        assert dense_window >= 20


def test_filling_ends_when_left_out_rows_are_predicted_well() -> None:
    space = every_width(SMALL, 0.25)
    easy = Planner(space, Goals(points_per_geometry=150, target_error_percent=5.0))
    hard = Planner(space, Goals(points_per_geometry=150, target_error_percent=0.01))
    few, _ = measured(easy, stepped(8), noise=0.01)
    many, _ = measured(hard, stepped(8), noise=0.01)
    assert len(few) < 0.8 * len(many)
    assert set(few) - set(many) == set()


def test_the_same_rows_give_the_same_wishes() -> None:
    goals = Goals(points_per_geometry=60, target_error_percent=0.1)
    rows, _ = measured(Planner(SPACE, goals), stepped(8))
    half = dict(list(rows.items())[: len(rows) // 2])
    wanted = Planner(SPACE, goals).next(half)
    assert wanted
    assert wanted == Planner(SPACE, goals).next(dict(reversed(half.items())))


def test_an_untied_space_moves_the_inner_widths_apart() -> None:
    space = SearchSpace.from_ratios(NETWORK, [0.25, 0.5, 0.75, 1.0], tied=False)
    rows, _ = measured(Planner(space, Goals(points_per_geometry=40)), stepped(8))
    widths = [s.widths for s in rows if isinstance(s, BlockShape)]
    assert sum(w1 != w2 for _, w1, w2, _ in widths) > len(widths) / 3


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.floats(0.05, 1.0), min_size=1, max_size=12),
    st.integers(2, 40),
    st.booleans(),
    st.booleans(),
    st.integers(0, 5),
)
def test_any_space_gives_a_plan_inside_it(
    ratios: list[float], points: int, tied: bool, removable: bool, seed: int
) -> None:
    network = NetworkSpec(depths=(2, 3), width=0.2, stem="3x3/1", resolution=8, classes=3)
    space = SearchSpace.from_ratios(network, ratios, tied=tied, removable=removable)
    goals = Goals(points_per_geometry=points, networks_fit=4, networks_held_out=4, chains=4)
    planner = Planner(space, goals, seed)
    again = Planner(space, goals, seed)
    assert (planner.networks, planner.chains) == (again.networks, again.chains)
    rows, _ = measured(planner, stepped(4))
    assert all(min(shape.widths) >= 1 for shape in rows)
    assert max(len(group) for group in by_geometry(rows).values()) <= max(points, 2)
    allowed = {w for widths in space.choices for w in widths}
    assert all(set(shape.widths) <= allowed for shape in rows)
    assert len({config for config, _ in planner.networks}) == len(planner.networks)
    for config, _ in planner.networks:
        network.check(config)
    for chain in planner.chains:
        assert 2 <= len(chain) <= 4
        assert all(isinstance(piece, BlockShape) for piece in chain)


def test_networks_of_each_role_spread_over_the_macs_and_off_the_grid() -> None:
    goals = Goals(points_per_geometry=10, networks_fit=20, networks_held_out=32)
    planner = Planner(SPACE, goals)
    dense = macs(NETWORK, encode([NETWORK.dense()]))[0]
    for role, count in (("fit", 20), ("held-out", 32)):
        configs = [config for config, of in planner.networks if of == role]
        assert len(configs) == count
        share = np.sort(macs(NETWORK, encode(configs)) / dense)
        assert share[0] < 0.25
        assert share[-1] > 0.6
        inside = sum(config in SPACE for config in configs)
        assert count / 4 <= inside <= count / 2
        aligned = sum(all(w % 8 == 0 for w in encode([c])[0]) for c in configs)
        assert aligned <= count / 2


def test_a_plan_refuses_senseless_sizes() -> None:
    for wrong in ({"points_per_geometry": 1}, {"networks_fit": -1}, {"target_error_percent": 0.0}):
        with pytest.raises(ConfigError, match="points_per_geometry >= 2, chains and networks >= 0"):
            Goals(**wrong)


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
