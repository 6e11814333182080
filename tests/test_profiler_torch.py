"""What is particular to the torch backends: their modules, their threads, and compilation."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from profiler.backend import load
from profiler.pieces import input_shape, output_shape
from profiler.torch_modules import Copy, initialised, network_of, piece
from supernet.arithmetic import count
from supernet.network import NetworkSpec
from supernet.shapes import BlockShape, HeadShape, Shape, StemShape

NETWORK = NetworkSpec(width=0.125, resolution=32, channels=1, classes=5)
BLOCK = BlockShape(6, 1, "identity", 16, 4, 4, 16)


@pytest.mark.parametrize(
    "shape",
    [
        StemShape("7x7/2+maxpool", 17, 3, 5),
        StemShape("3x3/1", 8, 1, 1),
        BlockShape(6, 1, "identity", 17, 1, 3, 17),
        BlockShape(7, 2, "projection", 8, 5, 7, 19),
        HeadShape(4, 13, 10),
    ],
)
def test_a_piece_gives_what_its_shape_says_and_leaves_its_input_alone(shape: Shape) -> None:
    x = torch.rand(input_shape(shape, 2))
    before = x.clone()
    with torch.inference_mode():
        y = initialised(piece(shape))(x)
    assert tuple(y.shape) == output_shape(shape, 2)
    assert torch.isfinite(y).all()
    assert torch.equal(x, before)


def test_a_network_has_our_parameters_with_folded_batch_norm() -> None:
    config = NETWORK.uniform(0.6)
    module = initialised(network_of(NETWORK, config))
    # a folded batch norm leaves one bias a channel of its scale and shift
    biases = sum(m.out_channels for m in module.modules() if isinstance(m, torch.nn.Conv2d))
    assert sum(p.numel() for p in module.parameters()) + biases == count(NETWORK, config)[1]
    y = module(torch.rand(2, 1, 32, 32))
    assert y.shape == (2, 5)
    assert 1e-3 < y.abs().mean() < 1e6


def test_a_copy_writes_every_value_to_the_same_place() -> None:
    module, x = Copy(1000), torch.rand(1000)
    assert torch.equal(module(x), -x)
    assert module(x).data_ptr() == module.result.data_ptr()


def test_a_run_has_the_targets_threads_and_leaves_the_processs_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []

    def forward(self: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
        seen.append((torch.get_num_threads(), torch.is_inference_mode_enabled()))
        return x

    monkeypatch.setattr("profiler.torch_modules.Bottleneck.forward", forward)
    before = torch.get_num_threads()
    plugin = load("torch")
    for threads in (1, 2, 3):
        runner = plugin.block(BLOCK, plugin.target("fp32", 1, threads))
        assert torch.get_num_threads() == before
        seen.clear()
        runner(2)
        assert seen == [(threads, True)] * 2
        assert torch.get_num_threads() == before


@pytest.mark.slow
def test_compiled_blocks_stay_compiled_however_many_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = load("torch_compiled")
    if reason := plugin.unavailable():
        pytest.skip(reason)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    from torch._dynamo.utils import counters

    counters.clear()
    limit = torch._dynamo.config.recompile_limit
    for width in range(16, limit + 18):
        shape = BlockShape(6, 1, "identity", 16, width, width, 16)
        runner = plugin.block(shape, plugin.target("fp32", 1, 1))
        assert runner(2) > 0
    assert counters["stats"]["unique_graphs"] == limit + 2
    assert not counters["graph_break"]


def test_without_a_compiler_the_compiled_backend_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    reason = load("torch_compiled").unavailable()
    assert reason is not None
    assert "needs a C++ compiler, but no-such-compiler is not found" in reason
