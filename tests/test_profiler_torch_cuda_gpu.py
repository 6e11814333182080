"""Backend `torch_cuda` on a real GPU: right results, times that repeat, and the stairs of padding.

`pytest -m gpu`; about a minute. The GPU's clocks are left alone unless STAIRPRUNE_LOCK_CLOCKS=1 is
set.
"""

from __future__ import annotations

import os

import pytest
import torch

from latency_tables.table import Target
from profiler.backend import load
from profiler.collect import compare, session_of
from profiler.gpu.timing import EngineRunner
from profiler.gpu.watch import SWITCH
from profiler.models import Chain, Model, Whole, piece
from profiler.pieces import input_shape
from profiler.protocol import Protocol
from profiler.roofline import roof
from profiler.torch_engine import TYPES, TorchEngine
from profiler.torch_fused import fused, unfused
from profiler.torch_modules import initialised
from profiler.torch_modules import piece as module_of
from supernet.network import NetworkSpec
from supernet.shapes import BlockShape, HeadShape, Shape, StemShape

REASON = load("torch_cuda").unavailable()
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(REASON is not None, reason=REASON or "")]
NETWORK = NetworkSpec()
SHAPES: list[Shape] = [
    StemShape("7x7/2+maxpool", 28, 3, 37),
    BlockShape(14, 2, "projection", 48, 37, 24, 64),
    BlockShape(7, 1, "identity", 64, 19, 24, 64),
    BlockShape(7, 1, "identity", 64, 32, 32, 64),
    HeadShape(7, 64, 10),
]
QUICK = Protocol(rounds=7, round_ms=5.0)


@pytest.fixture(autouse=True)
def gpu_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, os.environ.get(SWITCH, "0"))


def target(precision: str = "fp16", batch: int = 8) -> Target:
    return load("torch_cuda").target(precision, batch, 1)


def inner(w: int) -> BlockShape:
    return BlockShape(14, 1, "identity", 1024, w, w, 1024)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_an_engine_computes_what_the_module_does_on_the_cpu(shape: Shape, precision: str) -> None:
    plugin = load("torch_cuda")
    runner = plugin.block(shape, plugin.target(precision, 2, 1))
    assert 0 < runner(3) < 100
    into, dtype = input_shape(shape, 2), TYPES[precision][1]
    module = initialised(module_of(shape))
    x = torch.rand(into, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        wanted = module(x)
    lying = x.to("cuda:0", dtype).contiguous(memory_format=torch.channels_last)
    ready = fused(module).to("cuda:0", dtype).to(memory_format=torch.channels_last)
    engine = TorchEngine(ready, into, precision, "it")
    engine.bind("input", lying.data_ptr())
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    torch.cuda.synchronize()
    found = engine.run(stream.cuda_stream)
    stream.synchronize()
    print(shape, precision, "unfused:", unfused(ready))
    apart = (found.float().cpu() - wanted).abs().max() / wanted.abs().max()
    assert apart < (1e-4 if precision == "fp32" else 2e-2)


def test_widths_of_whole_groups_are_fused() -> None:
    plugin = load("torch_cuda")
    runner = plugin.block(inner(64), target())
    assert isinstance(runner, EngineRunner)
    assert not any("unfused" in note for note in runner.remarks().notes)


def test_two_sessions_agree() -> None:
    """A/A: each session in a process of its own, kernels chosen anew."""
    models: dict[str, Model] = {str(w): piece(inner(w)) for w in (64, 136, 256)}
    first, second = (compare(target(batch=32), models, QUICK) for _ in range(2))
    for name in models:
        assert first[name].median == pytest.approx(second[name].median, rel=0.05)


def test_blocks_in_a_chain_and_networks_cost_what_they_should() -> None:
    block = inner(256)
    models: dict[str, Model] = {
        "one": piece(block),
        "four": Chain((block,) * 4),
        "whole": Whole(NETWORK, NETWORK.dense()),
        "half": Whole(NETWORK, NETWORK.uniform(0.5)),
    }
    session = session_of(target(batch=32), models, QUICK)
    found = {name: m.median for name, m in session.measurements.items()}
    print(found, session.disturbances)
    assert found["four"] == pytest.approx(4 * found["one"], rel=0.3)
    assert found["whole"] > 1.5 * found["half"]


def test_the_roof_is_one_that_such_a_gpu_can_have() -> None:
    plugin = load("torch_cuda")
    found = roof(plugin, plugin.target("fp16", 1, 1))
    print(found)
    assert 1_000 < found.gmacs < 5_000_000
    assert 50 < found.gbytes < 20_000
