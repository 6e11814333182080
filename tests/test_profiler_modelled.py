"""The model of GPUs: public figures, worked examples of tiles and waves, and what never shrinks."""

from __future__ import annotations

from dataclasses import replace
from math import log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latency_tables.table import PRECISIONS, TargetMismatchError
from profiler.backend import BackendError, load
from profiler.modelled.cost import cost, costs, total_ms
from profiler.modelled.gemm import TILES, Gemm, Tile, best, planned, tiles, waves
from profiler.modelled.gpus import GPUS, find
from profiler.modelled.kernels import ALIGNMENT, Kernel, kernels, padded
from supernet.network import NetworkSpec
from supernet.shapes import BlockShape, HeadShape, Shape, StemShape

A100 = GPUS["a100"]
LARGE, MIDDLE = Tile(256, 128), Tile(128, 64)
NETWORK = NetworkSpec()
DENSE = NETWORK.shapes(NETWORK.dense())
BLOCK = BlockShape(14, 1, "identity", 1024, 256, 256, 1024)

devices = st.sampled_from(sorted(GPUS))
precisions = st.sampled_from(PRECISIONS)
sides = st.integers(1, 1 << 16)


@pytest.mark.parametrize("name", sorted(GPUS))
def test_public_figures_agree_with_each_other(name: str) -> None:
    """A multiprocessor does a power of two of multiply-adds per clock, within 10 %."""
    gpu = GPUS[name]
    for precision in PRECISIONS:
        per_clock = gpu.macs_per_us(precision) / gpu.boost_mhz
        nearest = 2 ** round(log2(per_clock))
        assert per_clock == pytest.approx(nearest, rel=0.1), precision
    assert gpu.tera_ops["int8"] == pytest.approx(2 * gpu.tera_ops["fp16"], rel=0.01)
    assert gpu.source
    assert find(name) is find(gpu.name) is gpu


def test_an_unknown_device_names_the_choices() -> None:
    with pytest.raises(BackendError, match=r"one of t4, a100, .*, but got 'a10'"):
        load("modelled", "a10")
    with pytest.raises(BackendError, match="device of onnxruntime is the one that it runs on"):
        load("onnxruntime", "a100")
    with pytest.raises(BackendError, match=r"one of t4, a100, .*, got 'Abacus'"):
        total_ms([BLOCK], "Abacus", 1, "int8")


@pytest.mark.parametrize(
    ("m", "columns", "tile", "covered", "passes"),
    [
        (27648, (128,), LARGE, 108, 1),
        (27648, (136, 192, 256), LARGE, 216, 2),
        (2304, (1536,), LARGE, 108, 1),
        (2304, (1544, 1600, 1664), LARGE, 117, 2),
        (1792, (1792,), LARGE, 98, 1),
        (1793, (1793,), LARGE, 120, 2),
        (56 * 56 * 8, (33, 48, 64), MIDDLE, 196, 2),
        (56 * 56 * 8, (65, 128), MIDDLE, 392, 4),
        (56 * 56 * 8, (129,), MIDDLE, 588, 6),
    ],
)
def test_worked_figures_of_an_a100(
    m: int, columns: tuple[int, ...], tile: Tile, covered: int, passes: int
) -> None:
    for n in columns:
        gemm = Gemm(m, n, 64)
        assert waves(gemm, tile, 108) == passes
        assert tiles(gemm, tile) == covered


def test_one_wave_more_takes_that_much_longer_whatever_is_in_it() -> None:
    one, two = (planned(Gemm(2304, n, 512), LARGE, A100, "fp16") for n in (1536, 1544))
    assert two.compute_us == 2 * one.compute_us
    assert one.full == 1.0
    assert two.full == pytest.approx(117 / 216)
    full = planned(Gemm(1792, 1792, 4096), LARGE, A100, "fp16")
    spilt = planned(Gemm(1793, 1793, 4096), LARGE, A100, "fp16")
    # the guide has 60+ against 43 TFLOPS, with kernels that overlap waves a little
    assert spilt.compute_us / full.compute_us == 2.0


def test_at_batch_1_there_is_one_wave_whatever_the_width() -> None:
    assert {waves(Gemm(56 * 56, n, 64), MIDDLE, 108) for n in range(1, 257)} == {1}


@given(sides, sides, st.sampled_from(TILES), st.integers(1, 200), st.integers(1, 8))
def test_waves_cover_all_tiles_and_no_wave_is_empty(
    m: int, n: int, tile: Tile, sms: int, occupancy: int
) -> None:
    gemm = Gemm(m, n, 1)
    found = waves(gemm, tile, sms, occupancy)
    assert (found - 1) * sms * occupancy < tiles(gemm, tile) <= found * sms * occupancy
    assert tiles(gemm, tile) * tile.rows * tile.columns >= m * n
    assert waves(gemm, tile, sms, occupancy + 1) <= found


@given(sides, sides, sides, st.sampled_from(TILES), devices, precisions, st.sampled_from("mnk"))
def test_a_larger_product_never_takes_less_at_a_fixed_tile_or_the_best_one(
    m: int, n: int, k: int, tile: Tile, device: str, precision: str, side: str
) -> None:
    small = Gemm(m, n, k)
    large = replace(small, **{side: getattr(small, side) + 1})
    gpu = GPUS[device]
    fixed = [planned(gemm, tile, gpu, precision).compute_us for gemm in (small, large)]
    chosen = [best(gemm, gpu, precision).compute_us for gemm in (small, large)]
    assert fixed[0] <= fixed[1]
    assert chosen[0] <= chosen[1]
    assert chosen[0] <= fixed[0]


@given(sides, sides, sides, devices, precisions)
def test_no_product_beats_the_published_peak(
    m: int, n: int, k: int, device: str, precision: str
) -> None:
    gpu, gemm = GPUS[device], Gemm(m, n, k)
    peak = gpu.tera_ops[precision] * 1e6 / 2
    assert gemm.macs / best(gemm, gpu, precision).compute_us < peak


def test_larger_tiles_are_more_efficient_in_the_order_listed() -> None:
    shares = [tile.efficiency for tile in TILES]
    assert shares == sorted(shares, reverse=True)
    assert 0.5 < shares[-1] < shares[0] < 1


@given(st.integers(1, 4096), precisions)
def test_channels_are_padded_to_the_alignment(channels: int, precision: str) -> None:
    found = padded(channels, precision)
    assert found % ALIGNMENT[precision] == 0
    assert 0 <= found - channels < ALIGNMENT[precision]


def test_a_bottleneck_is_three_kernels_and_a_projection() -> None:
    names = [kernel.name for kernel in kernels(BLOCK, 1, "int8")]
    assert names == ["conv1", "conv2", "conv3+add"]
    first = replace(BLOCK, size=28, stride=2, shortcut="projection", cin=512)
    assert [k.name for k in kernels(first, 1, "int8")] == [
        "conv1",
        "conv2",
        "projection",
        "conv3+add",
    ]


def test_kernels_are_implicit_products_and_move_each_map_once() -> None:
    conv1, conv2, conv3 = kernels(BLOCK, 8, "fp16")
    pixels = 8 * 14 * 14
    assert conv1.gemm == Gemm(pixels, 256, 1024)
    assert conv2.gemm == Gemm(pixels, 256, 256 * 9)
    assert conv3.gemm == Gemm(pixels, 1024, 256)
    assert conv1.maps == 2 * pixels * (1024 + 256)
    assert conv3.maps == 2 * pixels * (256 + 1024 + 1024)  # with the shortcut that it adds
    assert conv2.weights == 2 * 256 * 9 * 256
    conv, pool = kernels(StemShape("7x7/2+maxpool", 224, 3, 64), 1, "int8")
    assert conv.gemm == Gemm(112 * 112, 64, 4 * 49)
    assert pool.gemm is None
    assert pool.maps == 64 * (112 * 112 + 56 * 56)
    _, dense = kernels(HeadShape(7, 2048, 1000), 32, "fp32")
    assert dense.gemm == Gemm(32, 1000, 2048)


def test_macs_of_the_kernels_are_those_of_the_shape_where_nothing_is_padded() -> None:
    for shape in DENSE[1:-1]:
        found = sum(k.gemm.macs for k in kernels(shape, 1, "fp32") if k.gemm is not None)
        assert found == shape.macs


def test_a_kernel_is_bound_by_the_longest_of_arithmetic_memory_and_start() -> None:
    tiny = Kernel(name="tiny", gemm=Gemm(1, 1, 1), maps=1, weights=1)
    assert cost(tiny, A100, "int8").bound == "start"
    moving = Kernel(name="pool", gemm=None, maps=10**9)
    found = cost(moving, A100, "int8")
    assert found.bound == "memory"
    assert found.memory_us == pytest.approx((10**9 - A100.l2_bytes) / 1555e3)
    assert found.total_us == found.memory_us + A100.start_us
    working = Kernel(name="conv", gemm=Gemm(1 << 14, 1 << 10, 1 << 12), maps=1 << 20)
    assert cost(working, A100, "fp32").bound == "compute"


def test_what_fits_the_cache_costs_no_bandwidth() -> None:
    kernel = Kernel(name="pool", gemm=None, maps=A100.l2_bytes)
    assert cost(kernel, A100, "int8").memory_us == 0.0
    assert cost(kernel, GPUS["t4"], "int8").memory_us > 0.0


widths = st.integers(1, 600)


@given(widths, widths, widths, widths, st.integers(1, 256), devices, precisions, st.integers(0, 4))
def test_a_bottleneck_never_gets_faster_when_a_width_or_the_batch_grows(
    cin: int, w1: int, w2: int, cout: int, batch: int, device: str, precision: str, which: int
) -> None:
    small = [cin, w1, w2, cout, batch]
    large = [value + (index == which) for index, value in enumerate(small)]
    took = [
        total_ms([BlockShape(28, 2, "projection", *size[:4])], device, size[4], precision)
        for size in (small, large)
    ]
    assert took[0] <= took[1]


@given(st.integers(1, 64), st.integers(1, 64), devices, st.sampled_from(["fp16", "int8"]))
def test_widths_of_one_group_cost_the_same(
    group: int, batch: int, device: str, precision: str
) -> None:
    step = ALIGNMENT[precision]
    ends = [(group - 1) * step + 1, group * step]
    took = [
        total_ms([replace(BLOCK, w1=width, w2=width)], device, batch, precision) for width in ends
    ]
    assert took[0] == took[1]


@given(devices, precisions, st.integers(1, 128))
def test_pieces_add_up(device: str, precision: str, batch: int) -> None:
    whole = total_ms(DENSE, device, batch, precision)
    assert whole == pytest.approx(sum(total_ms([s], device, batch, precision) for s in DENSE))
    starts = sum(len(costs(s, device, batch, precision)) for s in DENSE) * A100.start_us / 1000
    assert whole > starts


def test_the_dense_network_takes_longer_than_peak_and_bandwidth_allow() -> None:
    """And by how much less than measured engines is for `docs/modelled-gpus.md` to say."""
    macs = 128 * sum(shape.macs for shape in DENSE)
    ideal = macs / (A100.tera_ops["int8"] / 2 * 1e9)
    assert ideal < total_ms(DENSE, "a100", 128, "int8") < 4 * ideal


def test_a_target_tells_where_its_figures_come_from() -> None:
    shapes: list[Shape] = [BLOCK]
    plugin = load("modelled", "h100")
    target = plugin.target("fp16", 32, 1)
    assert target.modelled
    assert target.device == "NVIDIA H100 SXM5 80GB"
    assert target.details["source"] == GPUS["h100"].source
    assert plugin.chain(shapes, target)(1) == total_ms(shapes, "h100", 32, "fp16")
    # the target decides, not the plugin that is asked
    assert load("modelled", "t4").chain(shapes, target)(3) == plugin.chain(shapes, target)(1)
    assert load("modelled", "t4").target("fp16", 32, 1) != target


def test_a_measured_and_a_modelled_target_are_never_the_same() -> None:
    from profiler.modelled.survey import survey
    from profiler.plan import Goals, Planner
    from supernet.space import SearchSpace

    target = load("modelled").target("int8", 1, 1)
    small = NetworkSpec(depths=(1, 1), width=0.25, stem="3x3/1", resolution=8)
    goals = Goals(points_per_geometry=8, target_error_percent=90, chains=1, networks_fit=1)
    table = survey(target, small, Planner(SearchSpace.from_ratios(small, [0.5, 1.0]), goals))
    table.require(target)
    dense = {row.config: row.measurement.median for row in table.networks}[small.dense()]
    assert dense == total_ms(small.shapes(small.dense()), "a100", 1, "int8")
    measured = replace(target, runtime="tensorrt")
    assert not measured.modelled
    with pytest.raises(TargetMismatchError, match="table is modelled, but a measured one"):
        table.require(measured)
    with pytest.raises(TargetMismatchError, match="table is measured, but a modelled one"):
        replace(table, target=measured).require(target)
