"""The TensorRT backend on the simulated GPU: the real engine class, runner and adapter in between.

Building needs no GPU and is tested elsewhere with a real builder; here the builder is a stand-in
that records what it was asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from profiler_fake_cuda import UUID, FakeDevice, MisuseError
from profiler_fake_tensorrt import IO, Builder, Context, Module, simulated
from test_profiler_gpu_nvml import Pynvml

from latency_tables.table import Target
from profiler import cuda_device
from profiler.backend import BackendError, OutOfMemoryError, Remarking, Runner, load
from profiler.capabilities import Steadying, Tuned, Watching, lock_name, steady, tuned, watch_of
from profiler.gpu import choose, nvml
from profiler.gpu.watch import GpuWatch
from profiler.lock import lock_file
from profiler.protocol import Protocol
from supernet.network import NetworkSpec
from supernet.shapes import BlockShape, HeadShape, StemShape

BLOCK = BlockShape(6, 1, "identity", 16, 4, 4, 16)
NETWORK = NetworkSpec(depths=(1, 2), width=0.25, stem="3x3/1", resolution=8, channels=1, classes=3)


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Module:
    """A machine with one simulated GPU, TensorRT and torch."""
    return simulated(monkeypatch, tmp_path)


def runners(target: Target) -> Iterator[tuple[str, Runner]]:
    backend = load("tensorrt")
    yield BLOCK.geometry, backend.block(BLOCK, target)
    yield "chain of 2", backend.chain((BLOCK, BLOCK), target)
    yield "network", backend.network(NETWORK, NETWORK.dense(), target)
    yield "product of 64", backend.gemm(64, target)
    yield "copy of 4096", backend.copy(4096, target)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_everything_is_built_and_timed(module: Module, precision: str) -> None:
    target = load("tensorrt").target(precision, 2, 1)
    for what, runner in runners(target):
        assert Builder.asked[-1] == what
        assert runner(10) == pytest.approx(module.ms, rel=0.01)
        assert isinstance(runner, Remarking)
        notes = runner.remarks().notes
        assert "tiles 128x64x32" in notes
        assert "reformat_layers 1" in notes
        assert all(len(note) < 150 for note in notes)
    assert len(set(Builder.caches)) == 1
    assert UUID.lower() in Builder.caches[0].name


def test_a_model_file_is_built_too(module: Module, tmp_path: Path) -> None:
    from profiler.graphs import block_model

    path = tmp_path / "model.onnx"
    path.write_bytes(block_model(HeadShape(4, 8, 3), 1))
    backend = load("tensorrt")
    runner = backend.file(str(path), backend.target("fp32", 1, 1))
    assert runner(1) == pytest.approx(module.ms, rel=0.01)
    with pytest.raises(BackendError, match="cannot read the model file"):
        backend.file(str(tmp_path / "absent.onnx"), backend.target("fp32", 1, 1))


def test_one_builder_serves_all_engines_of_a_clock_and_another_clock_has_its_own(
    module: Module,
) -> None:
    backend = load("tensorrt")
    target = backend.target("fp16", 1, 1)
    locked = Target(**{**vars_of(target), "details": {**target.details, "clocks": "locked"}})
    for where in (target, target, locked):
        backend.block(BLOCK, where)
    assert len(Builder.caches) == len(set(Builder.caches)) == 2


def vars_of(target: Target) -> dict[str, Any]:
    return {name: getattr(target, name) for name in target.__dataclass_fields__}


def test_the_target_records_what_decides_a_latency(module: Module) -> None:
    target = load("tensorrt").target("fp32", 4, 1)
    assert (target.device, target.runtime_version) == ("Fake GPU", "11.4.0.106")
    assert target.details["tf32"] == "0"
    assert target.details["avg_timing_iterations"] == "8"
    assert target.details["nvml"] == "nvidia-ml-py is not installed"
    assert target.details["cuda_package"] == "torch"
    assert target.details["cuda_graphs"] == "1"
    assert all(isinstance(value, str) for value in target.details.values())


@pytest.mark.parametrize(
    ("lacking", "why"),
    [("gpu", "no CUDA device"), ("package", "needs the package"), ("trt", "pypi.nvidia.com")],
)
def test_what_is_missing_is_named(
    module: Module, lacking: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load("tensorrt").unavailable() is None
    match lacking:
        case "gpu":
            monkeypatch.setattr(cuda_device, "names", list)
        case "package":
            monkeypatch.setattr(choose, "missing", lambda name: "no")
        case _:
            monkeypatch.setitem(sys.modules, "tensorrt", None)
    assert why in (load("tensorrt").unavailable() or "")


def test_a_runtime_that_refuses_is_our_error_with_its_own_words(module: Module) -> None:
    module.refuses = True
    backend = load("tensorrt")
    with pytest.raises(BackendError, match=r"cannot queue block:6x6.*: it cannot run"):
        backend.block(BLOCK, backend.target("fp16", 1, 1))


def test_too_little_memory_for_an_engine_is_told_apart(module: Module) -> None:
    backend = load("tensorrt")
    target = backend.target("fp16", 1, 1)
    module.short = True
    with pytest.raises(OutOfMemoryError, match="Requested size was 123"):
        backend.block(BLOCK, target)
    module.short, module.cuda.most_bytes = False, 1000
    with pytest.raises(OutOfMemoryError, match="out of memory"):
        backend.block(BLOCK, target)


def test_another_gpu_than_the_targets_is_refused(module: Module) -> None:
    backend = load("tensorrt")
    target = backend.target("fp16", 1, 1)
    other = Target(**{**vars_of(target), "details": {cuda_device.UUID: "GPU-another"}})
    with pytest.raises(BackendError, match=r"the target is the GPU GPU-another, but torch uses"):
        backend.block(BLOCK, other)


def test_bad_requests_are_refused_before_anything_is_built(module: Module) -> None:
    backend = load("tensorrt")
    target = backend.target("fp16", 1, 1)
    with pytest.raises(BackendError, match="side must be >= 1, but got 0"):
        backend.gemm(0, target)
    with pytest.raises(BackendError, match="elements must be >= 1, but got -1"):
        backend.copy(-1, target)
    with pytest.raises(BackendError, match="precision of tensorrt must be one of"):
        backend.target("fp8", 1, 1)
    assert Builder.asked == []


def test_a_gpu_is_measured_its_own_way_unless_asked_otherwise() -> None:
    backend = load("tensorrt")
    assert isinstance(backend, Tuned)
    found = tuned(backend, Protocol(rounds=5, seed=3))
    assert (found.rounds, found.seed) == (5, 3)
    assert (found.tolerance, found.rows, found.iterations) == (0.01, "in-context", 30)
    assert tuned(backend, Protocol(tolerance=0.02)).tolerance == 0.02
    assert tuned(backend, found) == found
    assert tuned(load("onnxruntime"), Protocol()) == Protocol()


def test_the_watch_and_the_clocks_are_the_gpus(
    module: Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = load("tensorrt")
    target = backend.target("fp16", 1, 1)
    assert isinstance(backend, Watching)
    assert isinstance(backend, Steadying)
    quiet = watch_of(backend, target)
    assert quiet is not None
    assert quiet(100.0) == ""
    with steady(backend, target) as held:
        assert held.details["clocks"] == "not locked: nvidia-ml-py is not installed"
        assert held == target
    package = Pynvml()
    monkeypatch.setattr(nvml, "here", lambda: nvml.connect(UUID, lambda: package))
    assert isinstance(watch_of(backend, target), GpuWatch)
    with steady(backend, target) as held:
        assert held.details["clocks"] == "locked at 1095 MHz"
        assert package.locked
    assert package.locked is None
    assert watch_of(load("onnxruntime"), target) is None
    with steady(load("onnxruntime"), target) as same:
        assert same is target


def test_two_gpus_of_a_name_have_two_locks_and_cpus_of_a_name_one() -> None:
    def at(**details: str) -> Target:
        return Target(
            device="H100", runtime="r", runtime_version="1", precision="fp32", batch=1,
            threads=1, details=details,
        )  # fmt: skip

    first, second = (lock_name(at(gpu_uuid=uuid)) for uuid in ("GPU-1", "GPU-2"))
    assert lock_file(first) != lock_file(second)
    assert lock_file(first) == lock_file(lock_name(at(gpu_uuid="GPU-1", runtime="another")))
    assert lock_name(at()) == "H100"


def test_the_simulated_runtime_is_as_strict_as_the_gpu(module: Module) -> None:
    context = Context(module)
    device = FakeDevice(module.cuda)
    buffer = device.alloc(IO[0].nbytes - 1)
    with pytest.raises(MisuseError, match="lacks its padding"):
        context.set_tensor_address("input", buffer.address)


def test_stems_and_blocks_of_every_kind_reach_the_builder(module: Module) -> None:
    backend = load("tensorrt")
    target = backend.target("int8", 1, 1)
    for shape in (
        StemShape("7x7/2+maxpool", 32, 3, 8),
        BlockShape(7, 2, "projection", 8, 5, 7, 19),
    ):
        assert backend.block(shape, target)(1) > 0
