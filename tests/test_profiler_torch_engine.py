"""Torch modules as engines, and their fusion, as far as they go without a GPU."""

from __future__ import annotations

import importlib
import sys

import numpy as np
import pytest
import torch
from profiler_fake_cuda import Cuda, FakeEngine
from profiler_fake_packages import FakeTorch
from torch import Tensor, nn

from profiler import cuda_device
from profiler.backend import BackendError, OutOfMemoryError, load
from profiler.capabilities import Steadying, Tuned, Watching, tuned
from profiler.gpu.torch_device import SharingTorchDevice
from profiler.pieces import input_shape, output_shape
from profiler.protocol import Protocol
from profiler.torch_engine import TorchEngine
from profiler.torch_fused import FusedConvolution, fused, unfused
from profiler.torch_modules import Copy, gemm, initialised, network_of, piece
from supernet.network import NetworkSpec
from supernet.shapes import BlockShape, HeadShape, Shape, StemShape

NETWORK = NetworkSpec(width=0.125, resolution=32, channels=1, classes=5)
SHAPES: list[Shape] = [
    StemShape("7x7/2+maxpool", 17, 3, 5),
    StemShape("3x3/1", 8, 1, 1),
    BlockShape(6, 1, "identity", 17, 1, 3, 17),
    BlockShape(7, 2, "projection", 8, 5, 7, 19),
    HeadShape(4, 13, 10),
]


def ran(module: nn.Module, x: Tensor) -> Tensor:
    with torch.inference_mode():
        result: Tensor = module(x)
    return result


@pytest.mark.parametrize("shape", SHAPES)
def test_a_fused_piece_computes_what_the_piece_does(shape: Shape) -> None:
    module = initialised(piece(shape))
    x = torch.rand(input_shape(shape, 2))
    before = x.clone()
    assert torch.allclose(ran(fused(module), x), ran(module, x), atol=1e-6)
    assert torch.equal(x, before)


def test_a_fused_network_has_the_same_weights_and_every_relu_but_none_of_its_own() -> None:
    plain = initialised(network_of(NETWORK, NETWORK.uniform(0.6)))
    module = fused(plain)
    assert {id(p) for p in module.parameters()} == {id(p) for p in plain.parameters()}
    assert not any(isinstance(m, nn.ReLU) for m in module.modules())
    found = sum(isinstance(m, FusedConvolution) for m in module.modules())
    assert found == 1 + 3 * len(list(NETWORK.positions()))
    x = torch.rand(1, 1, 32, 32)
    assert torch.allclose(ran(module, x), ran(plain, x), rtol=1e-4)
    assert len(unfused(module)) == found  # there is no cuDNN on a CPU


def test_cudnn_is_asked_once_and_what_it_refuses_runs_in_parts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def refuse(*given: object) -> Tensor:
        asked.append(given)
        raise RuntimeError("no engine")

    monkeypatch.setattr(torch, "cudnn_convolution_relu", refuse)
    module = FusedConvolution(initialised(nn.Conv2d(3, 5, 3, 2, 1)))  # type: ignore[arg-type]
    x = torch.rand(1, 3, 8, 8)
    assert torch.equal(ran(module, x), ran(module, x))
    assert len(asked) == 1
    _, weight, bias, *how = asked[0]
    assert weight is module.conv.weight
    assert bias is module.conv.bias
    assert how == [(2, 2), (1, 1), (1, 1), 1]


def test_a_kernel_that_ran_and_then_fails_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    module = FusedConvolution(initialised(nn.Conv2d(3, 5, 1)))  # type: ignore[arg-type]
    x = torch.rand(1, 3, 8, 8)
    monkeypatch.setattr(torch, "cudnn_convolution_relu", lambda *given: x)
    module(x)
    assert module.fused

    def broken(*given: object) -> Tensor:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(torch, "cudnn_convolution_relu", broken)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        module(x)

    def short(*given: object) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch, "cudnn_convolution_relu", short)
    module.fused = None
    with pytest.raises(torch.OutOfMemoryError):
        module(x)
    assert module.fused is None


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("shape", SHAPES[2:])
def test_an_engine_reads_its_input_where_it_is_told_channels_last(
    shape: Shape, precision: str
) -> None:
    into = input_shape(shape, 2)
    kind = {"fp32": np.float32, "fp16": np.float16}[precision]
    dtype = {"fp32": torch.float32, "fp16": torch.float16}[precision]
    module = initialised(piece(shape)).to(dtype)
    values = np.random.default_rng(0).uniform(0, 1, into).astype(kind)
    lying = np.ascontiguousarray(values.transpose(0, 2, 3, 1))
    engine = TorchEngine(fused(module), into, precision, "it", device="cpu")
    (entry,) = engine.tensors
    assert (entry.is_input, entry.dtype, entry.shape) == (True, precision, into)
    assert entry.nbytes == lying.nbytes
    engine.bind(entry.name, lying.ctypes.data)
    found = engine.run(0)
    assert tuple(found.shape) == output_shape(shape, 2)
    torch.testing.assert_close(found, ran(module, torch.from_numpy(values)), rtol=1e-2, atol=1e-2)
    lying[:] = 0
    engine.enqueue(0)
    assert not torch.allclose(engine.run(0), found)


def test_products_and_copies_are_engines_too() -> None:
    x = np.random.default_rng(0).uniform(0, 1, (4, 4)).astype(np.float32)
    product = initialised(gemm(4))
    engine = TorchEngine(product, (4, 4), "fp32", "it", device="cpu")
    engine.bind("input", x.ctypes.data)
    assert torch.allclose(engine.run(0), ran(product, torch.from_numpy(x)))
    copy = TorchEngine(Copy(16), (16,), "fp32", "it", device="cpu")
    copy.bind("input", x.ctypes.data)
    assert torch.equal(copy.run(0), -torch.from_numpy(x).ravel())


@pytest.mark.parametrize(
    ("error", "kind"),
    [(torch.OutOfMemoryError("full"), OutOfMemoryError), (RuntimeError("odd"), BackendError)],
)
def test_torchs_errors_are_ours(error: Exception, kind: type[Exception]) -> None:
    class Failing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise error

    engine = TorchEngine(Failing(), (1,), "fp32", "stage1.0", device="cpu")
    engine.bind("input", np.zeros(1, dtype=np.float32).ctypes.data)
    with pytest.raises(kind, match=f"stage1.0: {error}"):
        engine.enqueue(0)


def test_graphs_that_allocate_share_a_stream_and_a_pool() -> None:
    cuda = Cuda()
    package = FakeTorch(cuda)
    device = SharingTorchDevice(package)
    stream = device.stream()
    assert device.stream() is stream
    for _ in range(2):
        engine = FakeEngine(cuda, 0.1, [])
        engine.unseen = False
        device.capture(stream, lambda engine=engine: engine.enqueue(stream.handle))  # type: ignore[misc]
    assert len(package.pools) == 2
    assert len(set(package.pools)) == 1


def test_the_backend_is_measured_as_gpus_are_and_says_what_it_lacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plugin = load("torch_cuda")
    for capability in (Tuned, Watching, Steadying):
        assert isinstance(plugin, capability)
    protocol = tuned(plugin, Protocol())
    assert (protocol.iterations, protocol.round_ms, protocol.rows) == (30, 20.0, "isolated")
    monkeypatch.setattr(cuda_device, "names", list)
    assert plugin.unavailable() == "no CUDA device, or no NVIDIA driver"
    monkeypatch.setattr(cuda_device, "names", lambda: ["NVIDIA H100 80GB HBM3"])
    module = importlib.import_module("profiler.backends.torch_cuda")
    monkeypatch.setattr(module.metadata, "version", lambda name: "2.11.0+cpu")
    assert plugin.unavailable() == "torch is installed without CUDA"
    monkeypatch.setattr(module.metadata, "version", lambda name: "2.11.0+cu130")
    assert plugin.unavailable() is None
    assert "profiler.backends.torch_cuda" in sys.modules
    target = plugin.target("fp16", 128, 1)
    assert target.device == "NVIDIA H100 80GB HBM3"
    assert target.details["tf32"] == "0"
