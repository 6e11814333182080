"""Every model that a table of a ResNet50 needs is built by a real TensorRT, through the backend.

TensorRT-RTX builds without a GPU; running is simulated, as in `test_profiler_tensorrt.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trt_networks
from profiler_fake_tensorrt import Builder, simulated

from profiler.backend import load
from profiler.backends import tensorrt as plugin
from profiler.rows import parts
from supernet.network import NetworkSpec
from supernet.shapes import BlockShape, Shape

rtx = pytest.importorskip(
    "tensorrt_rtx", reason="tensorrt_rtx is not installed", exc_type=ImportError
)
NETWORK = NetworkSpec()


def narrowed(shape: Shape) -> Shape:
    """A quarter of a block's widths, less one where nothing else depends on it."""
    if not isinstance(shape, BlockShape):
        return shape
    cin, w1, w2, cout = (max(1, width // 4) for width in shape.widths)
    return BlockShape(shape.size, shape.stride, shape.shortcut, cin, w1 - 1, w2 - 3, cout)


MODELS = list(
    dict.fromkeys(
        part
        for shape in NETWORK.shapes(NETWORK.dense())
        for part in parts(narrowed(shape), "in-context").values()
    )
)


class RealBuilder(Builder):
    """Builds in earnest; what it gives is then replaced by what the simulated runtime reads."""

    def __init__(self, trt: Any, settings: Any, *, cache: Any) -> None:
        super().__init__(trt, settings, cache=cache)
        self.factory = trt_networks.factory(rtx)

    def build(self, fill: Any, what: str) -> bytes:
        assert len(self.factory.build(fill, what)) > 1000
        return super().build(fill, what)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_every_part_of_every_row_can_be_built(
    precision: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    simulated(monkeypatch, tmp_path)
    monkeypatch.setattr(plugin, "Factory", RealBuilder)
    backend = load("tensorrt")
    target = backend.target(precision, 1, 1)
    assert {len(model.pieces) for model in MODELS} == {1, 2, 6}
    for model in MODELS:
        assert model.build(backend, target)(1) > 0
    assert len(Builder.asked) == len(MODELS)
