"""Engines really built, by TensorRT-RTX, which needs no GPU for that and has TensorRT's interface.

What it builds is not what TensorRT would run, so nothing is timed. Skips where it is not installed,
and where TensorRT itself is: the two cannot share a process.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import onnx
import pytest
from trt_networks import factory, macs, unquantised

from profiler import cuda_device
from profiler.backend import BackendError
from profiler.graphs import block_model, chain_model, network_model
from profiler.pieces import input_shape, is_image, is_logits, output_shape
from profiler.trt import networks
from profiler.trt.build import Factory
from profiler.trt.engine import TensorRtEngine
from profiler.trt.errors import Log
from profiler.trt.formats import MAPS
from profiler.trt.networks import Fill
from profiler.trt.onnx_source import onnx_file
from profiler.trt.plan_file import engine_bytes, load, save
from profiler.trt.settings import Settings
from profiler.trt.timing_cache import TimingCache
from profiler.trt.writer import NetworkWriter
from supernet.arithmetic import count
from supernet.config import ConfigError
from supernet.network import NetworkSpec
from supernet.shapes import STEM_KINDS, BlockShape, HeadShape, Shape, StemShape, parse_shape

if importlib.util.find_spec("tensorrt") is not None:
    pytest.skip("tensorrt is installed beside tensorrt_rtx", allow_module_level=True)
trt = pytest.importorskip(
    "tensorrt_rtx", reason="tensorrt_rtx is not installed", exc_type=ImportError
)

RESNET50 = NetworkSpec()
SMALL = NetworkSpec(width=0.125, resolution=32, classes=5)
GEOMETRIES = {
    shape.geometry: shape
    for shape in RESNET50.shapes(RESNET50.dense())
    if isinstance(shape, BlockShape)
}
TYPES = {"fp32": "FLOAT", "fp16": "HALF", "int8": "INT8"}
PRECISIONS = tuple(TYPES)
BATCHES = (1, 8)


class Case(NamedTuple):
    """An engine to build."""

    shapes: tuple[Shape, ...]
    precision: str
    batch: int = 1
    maps: tuple[str, ...] | None = None


def narrowed(shape: BlockShape, ratio: float, less: int) -> BlockShape:
    """The same geometry with narrower inner and outer widths."""
    widths = tuple(max(1, int(width * ratio) - less) for width in shape.widths)
    found = parse_shape(shape.geometry, widths)
    assert isinstance(found, BlockShape)
    return found


WIDTHS = ((1.0, 0), (0.5, 0), (0.75, 8), (0.25, 3), (0.3, 1))
"""Aligned to 32, 16 and 8, and odd."""
BLOCKS = [
    Case((narrowed(shape, ratio, less),), precision, BATCHES[number % 2])
    for shape in GEOMETRIES.values()
    for precision in PRECISIONS
    for number, (ratio, less) in enumerate(WIDTHS)
]
FORMATS = [
    Case((narrowed(shape, 0.25, less),), precision, 2, (name,))
    for shape in GEOMETRIES.values()
    for precision in PRECISIONS
    for name in MAPS[precision]
    for less in (0, 5)
]
STEMS_AND_HEADS: tuple[Shape, ...] = (
    *(StemShape(kind, 64, 3, 24) for kind in STEM_KINDS),
    StemShape("7x7/2+maxpool", 224, 3, 64),
    StemShape("3x3/1", 9, 1, 1),
    HeadShape(7, 2048, 1000),
    HeadShape(7, 37, 10),
    HeadShape(1, 1, 1),
)
ENDS = [
    Case((shape,), precision, batch)
    for precision in PRECISIONS
    for batch in BATCHES
    for shape in STEMS_AND_HEADS
]
FIRST = BlockShape(14, 2, "projection", 48, 16, 24, 64)
NEXT = BlockShape(7, 1, "identity", 64, 19, 24, 64)
CHAINS = [
    Case(shapes, precision, 2)
    for precision in PRECISIONS
    for shapes in ((NEXT,) * 2, (NEXT,) * 6, (FIRST, NEXT), (FIRST, NEXT, HeadShape(7, 64, 10)))
]


def build(maker: Factory, fill: Fill, what: str) -> dict[str, Any]:
    """Builds, and tells what TensorRT made of the network."""
    seen: dict[str, Any] = {}

    def watched(module: Any, network: Any, log: Log) -> object:
        kept = fill(module, network, log)
        seen["macs"] = macs(trt, network)
        seen["unquantised"] = list(unquantised(trt, network))
        seen["io"] = [
            (tuple(tensor.shape), tensor.dtype.name, tensor.allowed_formats)
            for tensor in (network.get_input(0), network.get_output(0))
        ]
        return kept

    plan = maker.build(watched, what)
    assert len(plan) > 1000
    return seen


def bits(names: Sequence[str]) -> int:
    return sum(1 << int(getattr(trt.TensorFormat, name)) for name in names)


def check(maker: Factory, case: Case) -> None:
    """Builds a case, and holds it to what was asked for."""
    fill = networks.chain(case.shapes, case.batch, case.precision, maps=case.maps)
    seen = build(maker, fill, str(case))
    assert seen["macs"] == case.batch * sum(shape.macs for shape in case.shapes)
    ends = (is_image(case.shapes), is_logits(case.shapes))
    sides = (input_shape(case.shapes[0], case.batch), output_shape(case.shapes[-1], case.batch))
    real = "HALF" if case.precision == "fp16" else "FLOAT"
    allowed = bits(case.maps or MAPS[case.precision])
    for found, end, side in zip(seen["io"], ends, sides, strict=True):
        kind = real if end else TYPES[case.precision]
        assert found == (side, kind, bits(["LINEAR"]) if end else allowed), case
    if case.precision == "int8":
        assert not seen["unquantised"]


@pytest.fixture(scope="module")
def maker() -> Factory:
    return factory(trt)


@pytest.mark.slow
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_every_bottleneck_builds_in_every_precision_and_width(
    geometry: str, maker: Factory
) -> None:
    for case in BLOCKS:
        if case.shapes[0].geometry == geometry:
            check(maker, case)


def test_every_format_that_we_ask_for_is_taken(maker: Factory) -> None:
    for case in FORMATS:
        check(maker, case)


def test_stems_heads_and_chains_build(maker: Factory) -> None:
    for case in ENDS + CHAINS:
        check(maker, case)


def test_more_than_200_engines_are_built_here() -> None:
    cases = BLOCKS + FORMATS + ENDS + CHAINS
    assert len(GEOMETRIES) == 8
    assert len(set(cases)) == len(cases) > 200


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_small_network_builds_without_its_removed_blocks(precision: str, maker: Factory) -> None:
    dense = SMALL.dense()
    inner = list(dense.inner)
    inner[1] = (0, 0)
    removed = replace(dense, inner=tuple(inner))
    seen = build(maker, networks.whole(SMALL, removed, 2, precision), "a small network")
    assert seen["macs"] == 2 * count(SMALL, removed)[0]
    assert seen["io"][0][0] == (2, 3, 32, 32)
    assert seen["io"][1][0] == (2, 5)


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
def test_resnet50_builds(precision: str, maker: Factory) -> None:
    dense = RESNET50.dense()
    seen = build(maker, networks.whole(RESNET50, dense, 1, precision), "ResNet50")
    assert seen["macs"] == count(RESNET50, dense)[0]
    if precision == "int8":
        assert not seen["unquantised"]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_two_limits_of_a_roofline_build(precision: str, maker: Factory) -> None:
    for side in (1, 64, 333):
        assert build(maker, networks.gemm(side, precision), "a product")["macs"] == side**3
    for elements in (1, 1001, 1 << 20):
        (shape, kind, _), out = build(maker, networks.copy(elements, precision), "a copy")["io"]
        assert shape[0] * shape[1] == elements
        assert kind == TYPES[precision]
        assert out[:2] == (shape, kind)


def test_the_same_network_is_written_for_onnx_and_for_tensorrt(
    maker: Factory, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    shapes = (FIRST, NEXT, HeadShape(7, 64, 10))
    for precision in PRECISIONS:
        for chosen in (shapes[:1], shapes):
            path.write_bytes(chain_model(chosen, 2, precision, symmetric=True))
            parsed = build(maker, onnx_file(str(path), 2), precision)
            ours = build(maker, networks.chain(chosen, 2, precision), precision)
            assert parsed["macs"] == ours["macs"]
            assert [io[:2] for io in parsed["io"]] == [io[:2] for io in ours["io"]]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_network_of_onnx_builds_through_the_parser(
    precision: str, maker: Factory, tmp_path: Path
) -> None:
    path = tmp_path / "network.onnx"
    dense = SMALL.dense()
    path.write_bytes(network_model(SMALL, dense, 1, precision, symmetric=True))
    assert build(maker, onnx_file(str(path), 1), "it")["macs"] == count(SMALL, dense)[0]


def test_an_open_batch_of_a_file_is_fixed(maker: Factory, tmp_path: Path) -> None:
    model = onnx.load_from_string(block_model(HeadShape(4, 8, 3), 1))
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    path = tmp_path / "open.onnx"
    onnx.save(model, path)
    seen = build(maker, onnx_file(str(path), 4), "it")
    assert [io[0] for io in seen["io"]] == [(4, 8, 4, 4), (4, 3)]


def test_weights_beside_a_file_are_found(maker: Factory, tmp_path: Path) -> None:
    model = onnx.load_from_string(block_model(FIRST, 1, "int8", symmetric=True))
    path = tmp_path / "model.onnx"
    onnx.save_model(model, path, save_as_external_data=True, location="weights", size_threshold=64)
    assert (tmp_path / "weights").exists()
    assert build(maker, onnx_file(str(path), 1), "it")["macs"] == FIRST.macs
    (tmp_path / "weights").unlink()
    with pytest.raises(BackendError, match=r"model\.onnx: cannot read .*weight\.zero"):
        onnx_file(str(path), 1)
    model = onnx.load_from_string(block_model(FIRST, 1))
    onnx.save_model(model, path, save_as_external_data=True, location="weights", size_threshold=64)
    (tmp_path / "weights").unlink()
    with pytest.raises(BackendError, match=r"cannot load .*model\.onnx: .*weights"):
        maker.build(onnx_file(str(path), 1), "it")


def test_files_that_do_not_fit_are_refused(maker: Factory, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(block_model(FIRST, 2))
    with pytest.raises(BackendError, match="batch is fixed to 2, but got 3"):
        maker.build(onnx_file(str(path), 3), "it")
    model = onnx.load_from_string(block_model(FIRST, 1))
    model.graph.node[0].op_type = "Convolute"
    onnx.save(model, path)
    with pytest.raises(BackendError, match=r"cannot load .*model\.onnx.*Convolute"):
        maker.build(onnx_file(str(path), 1), "it")
    model = onnx.load_from_string(block_model(FIRST, 1))
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    onnx.save(model, path)
    with pytest.raises(BackendError, match="only the batch may be dynamic, but input is"):
        maker.build(onnx_file(str(path), 1), "it")


@pytest.mark.parametrize(
    ("precision", "maps"), [("fp32", ("HWC8",)), ("fp32", ("HWC16",)), ("int8", ("HWC8",))]
)
def test_a_format_that_a_precision_does_not_have_is_refused_in_tensorrts_words(
    precision: str, maps: tuple[str, ...], maker: Factory
) -> None:
    with pytest.raises(BackendError, match=r"cannot build a block: .*[Ff]ormat"):
        maker.build(networks.chain([NEXT], 1, precision, maps=maps), "a block")


def test_layers_that_do_not_fit_are_refused_in_tensorrts_words(maker: Factory) -> None:
    def mismatched(module: Any, network: Any, log: Log) -> NetworkWriter:
        layers = NetworkWriter(module, network, log, precision="fp32", seed=0)
        tensor = layers.begin((1, 8, 4, 4), image=True, allowed=["LINEAR"])
        other = layers.conv("narrow", tensor, (3, 8, 1), 1)
        layers.finish(layers.add("sum", tensor, other), allowed=["LINEAR"])
        return layers

    with pytest.raises(BackendError, match=r"tensorrt cannot .*sum"):
        maker.build(mismatched, "a network")
    with pytest.raises(BackendError, match=r"cannot build nothing: .*output"):
        maker.build(lambda *_: None, "nothing")
    # a failure leaves the builder as it was
    assert build(maker, networks.chain([NEXT], 1), "a block")


def test_mixed_types_are_refused(maker: Factory) -> None:
    def mixed(module: Any, network: Any, log: Log) -> list[NetworkWriter]:
        half = NetworkWriter(module, network, log, precision="fp16", seed=0)
        tensor = half.begin((1, 8, 4, 4), image=False, allowed=["HWC8"])
        single = NetworkWriter(module, network, log, precision="fp32", seed=0)
        half.finish(single.conv("conv", tensor, (8, 8, 1), 1), allowed=["HWC8"])
        return [half, single]

    with pytest.raises(BackendError, match=r"tensorrt cannot .*: \S+"):
        maker.build(mixed, "it")


def test_what_cannot_be_is_refused_before_tensorrt_sees_it() -> None:
    with pytest.raises(BackendError, match="must be one of fp32, fp16, int8, but got 'fp8'"):
        networks.chain([NEXT], 1, "fp8")
    with pytest.raises(ConfigError, match="cannot follow"):
        networks.chain([NEXT, FIRST], 1)


def test_the_settings_reach_tensorrt() -> None:
    settings = Settings(optimization_level=2, avg_timing_iterations=9, workspace_bytes=1 << 20)
    config = trt.Builder(Log(trt).logger).create_builder_config()
    settings.apply(trt, config)
    assert config.builder_optimization_level == 2
    assert config.avg_timing_iterations == 9
    assert config.max_aux_streams == 0
    assert config.profiling_verbosity == trt.ProfilingVerbosity.DETAILED
    assert config.get_memory_pool_limit(trt.MemoryPoolType.WORKSPACE) == 1 << 20
    assert not config.get_flag(trt.BuilderFlag.TF32)
    replace(settings, tf32=True).apply(trt, config)
    assert config.get_flag(trt.BuilderFlag.TF32)


@pytest.mark.filterwarnings("ignore:Use Deprecated in TensorRT-RTX")
def test_a_timing_cache_is_kept_for_the_next_process(tmp_path: Path) -> None:
    def cache() -> TimingCache:
        return TimingCache(tmp_path, gpu="none", driver="0", version=trt.__version__)

    first = cache()
    with_cache = factory(trt, cache=first)
    with_cache.build(networks.chain([NEXT], 1, "fp16"), "a block")
    assert first.path.exists()
    assert with_cache.facts()["timing_cache"] == first.path.name
    second = cache()
    factory(trt, cache=second).build(networks.chain([NEXT], 1, "fp16"), "a block")
    assert second.note == ""
    assert [path.name for path in tmp_path.iterdir()] == [first.path.name]


def test_the_record_says_what_built_it(maker: Factory) -> None:
    facts = maker.facts()
    assert facts["tensorrt"] == trt.__version__
    assert facts["tf32"] == "0"
    assert facts["timing_cache"] == "none"
    assert all(isinstance(value, str) for value in facts.values())


def test_an_engine_is_kept_with_what_built_it(maker: Factory, tmp_path: Path) -> None:
    path = tmp_path / "small.engine"
    fill = networks.whole(SMALL, SMALL.dense(), 1, "fp16")
    plan = engine_bytes(maker, fill, "a small network", {"gpu": "none"})
    save(plan, path)
    assert load(path, trt.__version__) == plan
    assert plan.facts["what"] == "a small network"
    assert plan.facts["avg_timing_iterations"] == "8"
    assert plan.facts["gpu"] == "none"


@pytest.mark.skipif(bool(cuda_device.names()), reason="has a GPU, on which it may run")
def test_without_a_gpu_an_engine_is_refused_in_tensorrts_words(maker: Factory) -> None:
    plan = maker.build(networks.chain([NEXT], 1), "a block")
    for data in (plan, b"not a plan", b""):
        with pytest.raises(BackendError, match=r"tensorrt cannot .*: \S+"):
            TensorRtEngine(trt, data, "a block")
