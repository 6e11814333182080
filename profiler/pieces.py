"""What stems, bottlenecks, heads, chains and the two probes of a roofline are made of.

One description for all graph formats: a `Layers` puts each layer into its own format and precision.
Knows no format, no precision and no runtime.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import gcd
from typing import Protocol, TypeVar

from supernet.config import ChannelConfig, ConfigError
from supernet.network import NetworkSpec
from supernet.shapes import BlockShape, HeadShape, Shape, StemShape

INPUT, OUTPUT = "input", "output"
ROWS = 1024
"""Most rows of a copied tensor: a runtime may split it among threads by rows alone."""

T = TypeVar("T")


class Layers(Protocol[T]):
    """Every method appends to a graph and returns the tensor it gives.

    `result`, where a method takes it, names that tensor; only `OUTPUT` is ever given.
    """

    def enter(self, tensor: T, *, image: bool) -> T:
        """What the graph's input is, ready for the first layer; `image`: a picture, no map."""

    def settled(self, tensor: T, result: str = "") -> T:
        """`tensor` as the next layer may read it: rounded, where the precision rounds."""

    def addend(self, tensor: T) -> T:
        """The last convolution's output as the residual addition may read it."""

    def conv(self, name: str, tensor: T, widths: tuple[int, int, int], stride: int) -> T:
        """A convolution with bias; `widths` are outputs, inputs, and the kernel's side."""

    def relu(self, name: str, tensor: T, result: str = "") -> T:
        """ReLU."""

    def add(self, name: str, tensor: T, other: T) -> T:
        """The residual addition."""

    def max_pool(self, name: str, tensor: T, result: str = "") -> T:
        """3x3 max-pool with stride 2."""

    def average_pool(self, name: str, tensor: T) -> T:
        """Global average pool, flattened."""

    def linear(self, name: str, tensor: T, widths: tuple[int, int], result: str) -> T:
        """A fully connected layer; `widths` are outputs and inputs."""


def write(layers: Layers[T], shapes: Sequence[Shape], names: Sequence[str], tensor: T) -> T:
    """Appends the pieces one after another; the last one's result is `OUTPUT`.

    Args:
        names: of the pieces; their layers' names begin with them.
        tensor: the graph's input.
    """
    tensor = layers.enter(tensor, image=is_image(shapes))
    for number, (shape, name) in enumerate(zip(shapes, names, strict=True), start=1):
        result = OUTPUT if number == len(shapes) else ""
        tensor = _piece(layers, shape, tensor, result, f"{name}/")
    return tensor


def is_image(shapes: Sequence[Shape]) -> bool:
    """Whether an image enters."""
    return isinstance(shapes[0], StemShape)


def is_logits(shapes: Sequence[Shape]) -> bool:
    """Whether logits leave."""
    return isinstance(shapes[-1], HeadShape)


def chain_names(shapes: Sequence[Shape]) -> list[str]:
    """Names of the pieces of a chain."""
    return [f"piece{number}" for number in range(len(shapes))]


def piece_names(network: NetworkSpec, config: ChannelConfig) -> list[str]:
    """Names of `network.shapes(config)`, in order: stem, stage1.0, ..., head."""
    blocks = [
        f"stage{stage + 1}.{index}"
        for (stage, index), (w1, _) in zip(network.positions(), config.inner, strict=True)
        if w1
    ]
    return ["stem", *blocks, "head"]


def check_chain(shapes: Sequence[Shape], batch: int) -> None:
    """Raises ConfigError unless each piece takes what the one before it gives."""
    if not shapes:
        raise ConfigError("a chain needs at least 1 piece, but got none")
    for before, after in pairwise(shapes):
        if output_shape(before, batch) != input_shape(after, batch):
            raise ConfigError(f"{after} cannot follow {before} in a chain")


def input_shape(shape: Shape, batch: int) -> tuple[int, ...]:
    """[batch, channels, size, size] of what enters."""
    channels = shape.channels if isinstance(shape, StemShape) else shape.cin
    return (batch, channels, shape.size, shape.size)


def output_shape(shape: Shape, batch: int) -> tuple[int, ...]:
    """[batch, classes] of a head, [batch, cout, size, size] of the others."""
    if isinstance(shape, HeadShape):
        return (batch, shape.classes)
    return (batch, shape.cout, shape.out_size, shape.out_size)


def copy_shape(elements: int) -> tuple[int, int]:
    """[rows, columns] of a tensor of so many elements."""
    rows = gcd(elements, ROWS)
    return (rows, elements // rows)


def _piece(layers: Layers[T], shape: Shape, tensor: T, result: str, prefix: str) -> T:
    match shape:
        case StemShape():
            return _stem(layers, shape, tensor, result, prefix)
        case BlockShape():
            return _block(layers, shape, tensor, result, prefix)
        case HeadShape():
            x = layers.average_pool(f"{prefix}pool", tensor)
            return layers.linear(f"{prefix}fc", x, (shape.classes, shape.cin), result)


def _stem(layers: Layers[T], s: StemShape, tensor: T, result: str, prefix: str) -> T:
    pooled = s.kind == "7x7/2+maxpool"
    x = layers.conv(f"{prefix}conv", tensor, (s.cout, s.channels, s.kernel), s.stride)
    x = layers.relu(f"{prefix}relu", x, "" if pooled else result)
    return layers.max_pool(f"{prefix}maxpool", x, result) if pooled else x


def _block(layers: Layers[T], s: BlockShape, tensor: T, result: str, prefix: str) -> T:
    x = layers.conv(f"{prefix}conv1", tensor, (s.w1, s.cin, 1), 1)
    x = layers.relu(f"{prefix}relu1", x)
    x = layers.conv(f"{prefix}conv2", x, (s.w2, s.w1, 3), s.stride)
    x = layers.relu(f"{prefix}relu2", x)
    x = layers.addend(layers.conv(f"{prefix}conv3", x, (s.cout, s.w2, 1), 1))
    shortcut = tensor
    if s.shortcut == "projection":
        widths = (s.cout, s.cin, 1)
        shortcut = layers.settled(layers.conv(f"{prefix}projection", tensor, widths, s.stride))
    return layers.relu(f"{prefix}relu", layers.add(f"{prefix}add", x, shortcut), result)
