"""What every backend must do; runs for each that can run here."""

from __future__ import annotations

import math
from pathlib import Path

import onnx
import pytest

from profiler import backend
from profiler.backend import Backend, BackendError
from profiler.graphs import block_model, network_model
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


@pytest.fixture(params=backend.names())
def plugin(request: pytest.FixtureRequest) -> Backend:
    found = backend.load(request.param)
    if reason := found.unavailable():
        pytest.skip(reason)
    return found


@pytest.mark.parametrize("name", backend.names())
def test_a_backend_describes_itself_even_where_it_cannot_run(name: str) -> None:
    found = backend.load(name)
    assert found.name == name
    assert found.summary
    assert found.precisions
    reason = found.unavailable()
    assert reason is None or reason


def test_a_target_says_what_was_asked_for(plugin: Backend) -> None:
    for precision in plugin.precisions:
        target = plugin.target(precision, 3, 1)
        assert (target.precision, target.batch, target.threads) == (precision, 3, 1)
        assert target.runtime == plugin.name
        assert target.runtime_version
        assert target == plugin.target(precision, 3, 1)
        assert target != plugin.target(precision, 4, 1)


def test_a_precision_it_does_not_have_is_refused(plugin: Backend) -> None:
    wrong = next(p for p in ("int8", "fp16", "fp32", "fp8") if p not in plugin.precisions)
    with pytest.raises(BackendError, match=f"must be one of .*, but got '{wrong}'"):
        plugin.target(wrong, 1, 1)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.geometry)
@pytest.mark.parametrize("batch", [1, 3])
def test_every_kind_of_shape_runs(plugin: Backend, shape: Shape, batch: int) -> None:
    runner = plugin.block(shape, plugin.target(plugin.precisions[0], batch, 1))
    for n in (1, 7):
        took = runner(n)
        assert math.isfinite(took)
        assert took > 0


def test_a_network_runs_and_costs_more_than_its_stem(plugin: Backend) -> None:
    network = NetworkSpec(resolution=64)
    target = plugin.target(plugin.precisions[0], 1, 1)
    whole = plugin.network(network, network.dense(), target)
    stem = plugin.block(network.shapes(network.dense())[0], target)
    whole(1), stem(1)
    assert min(whole(1) for _ in range(3)) > min(stem(1) for _ in range(3))


def test_a_runner_averages_over_its_runs(plugin: Backend) -> None:
    shape = BlockShape(14, 1, "identity", 256, 64, 64, 256)
    runner = plugin.block(shape, plugin.target(plugin.precisions[0], 1, 1))
    runner(20)
    one = min(runner(1) for _ in range(50))
    many = min(runner(20) for _ in range(10))
    assert one / 2 < many < one * 4


def test_a_model_file_runs_with_the_targets_batch(plugin: Backend, tmp_path: Path) -> None:
    target = plugin.target(plugin.precisions[0], 2, 1)
    path = tmp_path / "model.onnx"
    path.write_bytes(network_model(NETWORK, NETWORK.dense(), 2))
    assert plugin.file(str(path), target)(2) > 0
    with pytest.raises(BackendError, match="batch is fixed to 2, but got 3"):
        plugin.file(str(path), plugin.target(plugin.precisions[0], 3, 1))


def test_a_model_file_may_leave_the_batch_open(plugin: Backend, tmp_path: Path) -> None:
    model = onnx.load_from_string(block_model(HeadShape(4, 8, 3), 1))
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    path = tmp_path / "open.onnx"
    onnx.save(model, path)
    assert plugin.file(str(path), plugin.target(plugin.precisions[0], 4, 1))(1) > 0


def test_a_file_that_is_no_model_is_an_error(plugin: Backend, tmp_path: Path) -> None:
    target = plugin.target(plugin.precisions[0], 1, 1)
    with pytest.raises(BackendError, match="cannot read the model file"):
        plugin.file(str(tmp_path / "absent.onnx"), target)
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"not a model")
    with pytest.raises(BackendError, match=r"broken\.onnx"):
        plugin.file(str(broken), target)


def test_an_unknown_backend_names_the_choices() -> None:
    with pytest.raises(BackendError, match=r"must be one of .*onnxruntime.*, but got 'abacus'"):
        backend.load("abacus")
