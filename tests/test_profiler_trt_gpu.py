"""TensorRT on a GPU: what was built runs, and computes what onnxruntime does from the same file.

Skips without TensorRT or a GPU; there the other tests of `profiler/trt` go as far as they can.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest

from profiler import cuda_device
from profiler.graphs import chain_model
from profiler.trt import loading, networks
from profiler.trt.build import Factory
from profiler.trt.engine import TensorRtEngine
from profiler.trt.formats import MAPS
from profiler.trt.onnx_source import onnx_file
from profiler.trt.settings import Settings
from profiler.trt.timing_cache import TimingCache
from supernet.shapes import BlockShape, HeadShape, Shape, StemShape

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not cuda_device.names(), reason="no CUDA device, or no NVIDIA driver"),
    pytest.mark.skipif(
        loading.unavailable() is not None, reason=loading.unavailable() or "tensorrt is there"
    ),
]

FIRST = BlockShape(14, 2, "projection", 48, 37, 24, 64)
NEXT = BlockShape(7, 1, "identity", 64, 19, 24, 64)
SHAPES: list[Shape] = [
    StemShape("7x7/2+maxpool", 28, 3, 37),
    FIRST,
    NEXT,
    HeadShape(7, 64, 10),
]
TOLERANCE = {"fp32": 1e-4, "fp16": 2e-2, "int8": 4}
"""Largest difference: relative to the largest value, in int8 in steps of the scale."""


@pytest.fixture(scope="module")
def factory() -> Factory:
    return Factory(loading.load(), Settings())


def run(engine: TensorRtEngine, values: npt.NDArray[Any] | None = None) -> npt.NDArray[Any]:
    """One run with `values`, or zeros, in the input's own layout; the output as it lies."""
    import torch

    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    buffers = {}
    for tensor in engine.tensors:
        buffers[tensor.name] = torch.zeros(tensor.nbytes, dtype=torch.uint8, device="cuda")
        if tensor.is_input and values is not None:
            data = torch.from_numpy(np.frombuffer(values.tobytes(), dtype=np.uint8).copy())
            buffers[tensor.name].copy_(data)
        engine.bind(tensor.name, buffers[tensor.name].data_ptr())
    torch.cuda.synchronize()
    engine.enqueue(stream.cuda_stream)
    stream.synchronize()
    (out,) = [tensor for tensor in engine.tensors if not tensor.is_input]
    kinds: dict[str, npt.DTypeLike] = {"fp32": np.float32, "fp16": np.float16, "int8": np.int8}
    return np.frombuffer(buffers[out.name].cpu().numpy().tobytes(), dtype=kinds[out.dtype])


@pytest.mark.parametrize("precision", MAPS)
@pytest.mark.parametrize("shapes", [[FIRST], [NEXT], [FIRST, NEXT], SHAPES[3:]])
def test_a_file_computes_what_onnxruntime_computes(
    shapes: list[Shape], precision: str, factory: Factory, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(chain_model(shapes, 2, precision, symmetric=True))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    kinds = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(int8)": np.int8}
    kind = kinds[entry.type]
    drawn = np.random.default_rng(0).uniform(0, 100 if kind == np.int8 else 1, entry.shape)
    values = drawn.astype(kind)
    (wanted,) = session.run(None, {entry.name: values})
    engine = TensorRtEngine(factory.trt, factory.build(onnx_file(str(path), 2), "it"), "it")
    found = run(engine, values).astype(np.float64)
    expected = np.ravel(wanted).astype(np.float64)
    difference = np.abs(found - expected).max()
    whole = 1.0 if wanted.dtype == np.int8 else np.abs(expected).max()
    tolerance = 0.05 if precision == "int8" and wanted.dtype != np.int8 else TOLERANCE[precision]
    assert difference <= tolerance * whole


@pytest.mark.parametrize("precision", MAPS)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.geometry)
def test_every_piece_runs_in_the_formats_we_ask_for(
    shape: Shape, precision: str, factory: Factory
) -> None:
    plan = factory.build(networks.chain([shape], 2, precision), "a piece")
    engine = TensorRtEngine(factory.trt, plan, "a piece")
    run(engine)
    notes = engine.notes()
    assert int(notes["layers"]) > 0
    chosen = {notes["format_input"], notes["format_output"]}
    assert chosen <= {*MAPS[precision], "LINEAR"}
    if isinstance(shape, BlockShape):
        assert chosen <= set(MAPS[precision])


def test_a_second_process_finds_the_timings_of_the_first(tmp_path: Path) -> None:
    trt = loading.load()
    known = {"gpu": cuda_device.names()[0], "driver": cuda_device.facts()["cuda_driver"]}
    for _ in range(2):
        cache = TimingCache(tmp_path, version=trt.__version__, **known)
        Factory(trt, Settings(), cache=cache).build(networks.chain([NEXT], 1, "fp16"), "a block")
        assert cache.note == ""
    assert len(list(tmp_path.iterdir())) == 1
