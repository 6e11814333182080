"""The kernels of stems, bottlenecks and heads, fused as TensorRT fuses them.

A convolution takes its bias, batch norm and ReLU along, and the last of a bottleneck the sum with
the shortcut and the ReLU behind it. Each is an implicit matrix product: m = images * outputs'
pixels, n = output channels, k = input channels * kernel area. Channels are padded in memory to what
the precision's layouts hold. Knows nothing of devices.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from profiler.modelled.gemm import Gemm
from supernet.shapes import BlockShape, HeadShape, Shape, StemShape

BYTES = {"fp32": 4, "fp16": 2, "int8": 1}
ALIGNMENT = {"fp32": 1, "fp16": 8, "int8": 32}
"""Channels are padded to multiples: half precision in groups of 8 (TensorRT's HWC8), int8 of 32
(its CHW32; tensor cores would do with 16). CUDA cores need none."""
IMAGE = 4
"""But images, of few channels, to this at most (TensorRT's CHW4)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """What runs at once.

    Attributes:
        name: `conv1`, `pool`, ...
        gemm: its arithmetic, k padded; None where it only moves data.
        maps: bytes of feature maps that it reads and writes.
        weights: bytes of weights that it reads.
    """

    name: str
    gemm: Gemm | None
    maps: int
    weights: int = 0


def padded(channels: int, precision: str) -> int:
    """Channels as they lie in memory."""
    return -(-channels // ALIGNMENT[precision]) * ALIGNMENT[precision]


def kernels(shape: Shape, batch: int, precision: str) -> Iterator[Kernel]:
    """The kernels of one piece of a network, in order."""
    layers = _Layers(batch=batch, precision=precision)
    match shape:
        case StemShape():
            yield from layers.stem(shape)
        case BlockShape():
            yield from layers.block(shape)
        case HeadShape():
            yield from layers.head(shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layers:
    """Layers of one batch in one precision."""

    batch: int
    precision: str

    def stem(self, s: StemShape) -> Iterator[Kernel]:
        image = -(-s.channels // min(IMAGE, ALIGNMENT[self.precision]))
        image *= min(IMAGE, ALIGNMENT[self.precision])
        read = self.batch * s.size**2 * image * BYTES[self.precision]
        yield self._conv("conv", s.conv_size, image, s.cout, s.kernel, read)
        if s.out_size != s.conv_size:
            moved = self._map(s.conv_size, s.cout) + self._map(s.out_size, s.cout)
            yield Kernel(name="pool", gemm=None, maps=moved)

    def block(self, s: BlockShape) -> Iterator[Kernel]:
        cin, w1, w2 = (padded(w, self.precision) for w in (s.cin, s.w1, s.w2))
        yield self._conv("conv1", s.size, cin, s.w1, 1, self._map(s.size, s.cin))
        yield self._conv("conv2", s.out_size, w1, s.w2, 3, self._map(s.size, s.w1))
        if s.shortcut == "projection":  # a strided one skips the pixels that it does not need
            read = self._map(s.out_size, s.cin)
            yield self._conv("projection", s.out_size, cin, s.cout, 1, read)
        read = self._map(s.out_size, s.w2) + self._map(s.out_size, s.cout)
        yield self._conv("conv3+add", s.out_size, w2, s.cout, 1, read)

    def head(self, s: HeadShape) -> Iterator[Kernel]:
        moved = self._map(s.size, s.cin) + self._map(1, s.cin)
        yield Kernel(name="pool", gemm=None, maps=moved)
        cin = padded(s.cin, self.precision)
        yield self._conv("fc", 1, cin, s.classes, 1, self._map(1, s.cin))

    def _conv(self, name: str, size: int, cin: int, cout: int, kernel: int, read: int) -> Kernel:
        k = cin * kernel**2
        return Kernel(
            name=name,
            gemm=Gemm(self.batch * size**2, cout, k),
            maps=read + self._map(size, cout),
            weights=k * padded(cout, self.precision) * BYTES[self.precision],
        )

    def _map(self, size: int, channels: int) -> int:
        """Bytes of a square map."""
        return self.batch * size**2 * padded(channels, self.precision) * BYTES[self.precision]
