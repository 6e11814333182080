"""What every backend must do; runs for each that can run here, in every precision it has."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import onnx
import pytest

from latency_tables.table import Target
from profiler import backend, machine
from profiler.backend import Backend, BackendError, Runner
from profiler.graphs import block_model, network_model
from supernet.config import ConfigError
from supernet.network import NetworkSpec
from supernet.shapes import BlockShape, HeadShape, Shape, StemShape

NETWORK = NetworkSpec(depths=(1, 2), width=0.25, stem="3x3/1", resolution=8, channels=1, classes=3)
SHAPES: list[Shape] = [
    StemShape("7x7/2+maxpool", 16, 3, 5),
    StemShape("3x3/1", 8, 1, 1),
    BlockShape(6, 1, "identity", 17, 1, 3, 17),
    BlockShape(7, 2, "projection", 8, 5, 7, 19),
    HeadShape(4, 13, 10),
]
SLOW = "torch_compiled"  # compiles every model: tested by one block, in test_profiler_torch.py
QUICK = [name for name in backend.names() if name != SLOW]
READERS = [name for name in backend.names() if backend.load(name).files]
CASES = [(name, precision) for name in QUICK for precision in backend.load(name).precisions]


class Case(NamedTuple):
    """One backend in one of its precisions."""

    plugin: Backend
    precision: str

    def target(self, batch: int = 1, threads: int = 1) -> Target:
        return self.plugin.target(self.precision, batch, threads)


def usable(name: str) -> Backend:
    found = backend.load(name)
    if reason := found.unavailable():
        pytest.skip(reason)
    return found


@pytest.fixture(params=backend.names())
def plugin(request: pytest.FixtureRequest) -> Backend:
    return usable(request.param)


@pytest.fixture(params=CASES, ids="-".join)
def case(request: pytest.FixtureRequest) -> Case:
    name, precision = request.param
    return Case(usable(name), precision)


@pytest.fixture(params=[case for case in CASES if case[0] in READERS], ids="-".join)
def reader(request: pytest.FixtureRequest) -> Case:
    name, precision = request.param
    return Case(usable(name), precision)


def check_times(runner: Runner) -> None:
    for n in (1, 7):
        took = runner(n)
        assert math.isfinite(took)
        assert took > 0


@pytest.mark.parametrize("name", backend.names())
def test_a_backend_describes_itself_even_where_it_cannot_run(name: str) -> None:
    found = backend.load(name)
    assert found.name == name
    assert found.summary
    assert found.precisions
    reason = found.unavailable()
    assert reason is None or (reason and "\n" not in reason)


def test_a_target_says_what_was_asked_for(plugin: Backend) -> None:
    for precision in plugin.precisions:
        target = plugin.target(precision, 3, 1)
        assert (target.precision, target.batch, target.threads) == (precision, 3, 1)
        assert target.runtime == plugin.name
        assert target.runtime_version
        assert all(isinstance(value, str) for value in target.details.values())
        assert target == plugin.target(precision, 3, 1)
        assert target != plugin.target(precision, 4, 1)


def test_a_precision_it_does_not_have_is_refused(plugin: Backend) -> None:
    wrong = next(p for p in ("int8", "fp16", "fp32", "fp8") if p not in plugin.precisions)
    with pytest.raises(BackendError, match=f"must be one of .*, but got '{wrong}'"):
        plugin.target(wrong, 1, 1)


def test_a_target_of_another_precision_is_refused(plugin: Backend) -> None:
    for wrong in {"int8", "fp16", "fp32"} - set(plugin.precisions):
        target = Target(
            device="", runtime="", runtime_version="", precision=wrong, batch=1, threads=1
        )
        builds: list[Callable[[Target], Runner]] = [
            partial(plugin.block, SHAPES[-1]),
            partial(plugin.chain, SHAPES[-1:]),
            partial(plugin.network, NETWORK, NETWORK.dense()),
            partial(plugin.gemm, 4),
            partial(plugin.copy, 4),
        ]
        for build in builds:
            with pytest.raises(BackendError, match=f"must be one of .*, but got '{wrong}'"):
                build(target)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.geometry)
@pytest.mark.parametrize("batch", [1, 3])
def test_every_kind_of_shape_runs(case: Case, shape: Shape, batch: int) -> None:
    check_times(case.plugin.block(shape, case.target(batch)))


def test_pieces_that_follow_each_other_run_as_a_chain(case: Case) -> None:
    block = BlockShape(4, 1, "identity", 19, 5, 7, 19)
    check_times(case.plugin.chain([SHAPES[3], block, block], case.target(2)))
    with pytest.raises(ConfigError, match="cannot follow"):
        case.plugin.chain([block, SHAPES[3]], case.target(2))


@pytest.mark.skipif(machine.usable_cores() < 2, reason="needs two cores")
def test_two_threads_run(case: Case) -> None:
    check_times(case.plugin.block(SHAPES[3], case.target(threads=2)))


def test_the_two_limits_of_a_roofline_run(case: Case) -> None:
    check_times(case.plugin.gemm(33, case.target(batch=3)))
    check_times(case.plugin.copy(1001, case.target(batch=3)))
    for build in (case.plugin.gemm, case.plugin.copy):
        with pytest.raises(BackendError, match="must be >= 1, but got 0"):
            build(0, case.target())


def test_the_two_limits_of_a_roofline_take_longer_where_there_is_more_to_do(case: Case) -> None:
    pairs = [(case.plugin.gemm, 32, 512), (case.plugin.copy, 1 << 10, 1 << 21)]
    for build, less, more in pairs:
        small, large = build(less, case.target()), build(more, case.target())
        small(3), large(1)
        assert min(large(1) for _ in range(5)) > 2 * min(small(3) for _ in range(5))


def test_a_network_runs_and_costs_more_than_its_stem(case: Case) -> None:
    network = NetworkSpec(resolution=64)
    target = case.target()
    whole = case.plugin.network(network, network.dense(), target)
    stem = case.plugin.block(network.shapes(network.dense())[0], target)
    whole(1), stem(1)
    assert min(whole(1) for _ in range(3)) > min(stem(1) for _ in range(3))


def test_a_runner_averages_over_its_runs(case: Case) -> None:
    shape = BlockShape(14, 1, "identity", 256, 64, 64, 256)
    runner = case.plugin.block(shape, case.target())
    runner(20)
    one = min(runner(1) for _ in range(50))
    many = min(runner(20) for _ in range(10))
    assert one / 2 < many < one * 4


def test_a_model_file_runs_with_the_targets_batch(reader: Case, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(network_model(NETWORK, NETWORK.dense(), 2, reader.precision))
    assert reader.plugin.file(str(path), reader.target(2))(2) > 0
    with pytest.raises(BackendError, match="batch is fixed to 2, but got 3"):
        reader.plugin.file(str(path), reader.target(3))


def test_a_model_file_may_leave_the_batch_open(reader: Case, tmp_path: Path) -> None:
    model = onnx.load_from_string(block_model(HeadShape(4, 8, 3), 1, reader.precision))
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    path = tmp_path / "open.onnx"
    onnx.save(model, path)
    assert reader.plugin.file(str(path), reader.target(4))(1) > 0


def test_a_file_that_cannot_be_fed_is_an_error(reader: Case, tmp_path: Path) -> None:
    model = onnx.load_from_string(block_model(SHAPES[3], 1))
    path = tmp_path / "strange.onnx"
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    onnx.save(model, path)
    with pytest.raises(BackendError, match="only the batch may be dynamic, but input is"):
        reader.plugin.file(str(path), reader.target())
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    onnx.save(model, path)
    with pytest.raises(BackendError, match=r"must be one of float, .*, but input is int64"):
        reader.plugin.file(str(path), reader.target())


def test_a_file_that_is_no_model_is_an_error(reader: Case, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="cannot read the model file"):
        reader.plugin.file(str(tmp_path / "absent.onnx"), reader.target())
    broken = tmp_path / "broken.onnx"
    for content in (b"not a model", b""):
        broken.write_bytes(content)
        with pytest.raises(BackendError, match=r"broken\.onnx"):
            reader.plugin.file(str(broken), reader.target())


def test_a_graph_that_the_runtime_refuses_is_an_error(reader: Case, tmp_path: Path) -> None:
    model = onnx.load_from_string(block_model(SHAPES[3], 1))
    model.graph.node[0].op_type = "Convolute"
    path = tmp_path / "unknown.onnx"
    onnx.save(model, path)
    with pytest.raises(BackendError, match=r"cannot load .*unknown\.onnx"):
        reader.plugin.file(str(path), reader.target())


@pytest.mark.parametrize("name", [name for name in backend.names() if name not in READERS])
def test_a_backend_without_files_says_which_have_them(name: str) -> None:
    found = usable(name)
    with pytest.raises(BackendError, match=rf"loads no ONNX files.*{', '.join(READERS)}"):
        found.file("model.onnx", found.target(found.precisions[0], 1, 1))


def test_an_unknown_backend_names_the_choices() -> None:
    with pytest.raises(BackendError, match=r"must be one of .*onnxruntime.*, but got 'abacus'"):
        backend.load("abacus")
