"""ONNX graphs of stems, bottlenecks, heads, chains and whole networks with random weights.

Written node by node, because a table needs thousands of them: no torch, no tracing, milliseconds
each. Latency does not depend on the weights' values, as long as they are neither zero nor
denormal. How convolutions and activations are written in a precision is `profiler.graph_writer`'s
matter. Knows nothing of runtimes and timing.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from profiler.graph_writer import INPUT, OUTPUT, Writer, writer
from supernet.config import ChannelConfig, ConfigError
from supernet.network import NetworkSpec
from supernet.shapes import BlockShape, HeadShape, Shape, StemShape


def block_model(shape: Shape, batch: int, precision: str = "fp32", seed: int = 0) -> bytes:
    """One stem, bottleneck or head as a serialized ONNX model.

    Args:
        batch: images in the input [batch, channels, size, size], which is fixed in the graph.
        precision: fp32, fp16 or int8 (Q/DQ).
    """
    return chain_model([shape], batch, precision, seed)


def chain_model(
    shapes: Sequence[Shape], batch: int, precision: str = "fp32", seed: int = 0
) -> bytes:
    """Pieces one after another as a serialized ONNX model.

    Raises:
        ConfigError: no piece, or one that does not take what the piece before it gives.
    """
    check_chain(shapes, batch)
    return _model(
        shapes, [f"piece{number}" for number in range(len(shapes))], batch, precision, seed
    )


def check_chain(shapes: Sequence[Shape], batch: int) -> None:
    """Raises ConfigError unless each piece takes what the one before it gives."""
    if not shapes:
        raise ConfigError("a chain needs at least 1 piece, but got none")
    for before, after in pairwise(shapes):
        if output_shape(before, batch) != input_shape(after, batch):
            raise ConfigError(f"{after} cannot follow {before} in a chain")


def network_model(
    network: NetworkSpec,
    config: ChannelConfig,
    batch: int,
    precision: str = "fp32",
    seed: int = 0,
) -> bytes:
    """A whole network as a serialized ONNX model; removed blocks leave no node.

    Raises:
        ConfigError: the config does not fit the network.
    """
    names = piece_names(network, config)
    return _model(network.shapes(config), names, batch, precision, seed)


def piece_names(network: NetworkSpec, config: ChannelConfig) -> list[str]:
    """Names of `network.shapes(config)`, in order: stem, stage1.0, ..., head."""
    blocks = [
        f"stage{stage + 1}.{index}"
        for (stage, index), (w1, _) in zip(network.positions(), config.inner, strict=True)
        if w1
    ]
    return ["stem", *blocks, "head"]


def input_shape(shape: Shape, batch: int) -> tuple[int, ...]:
    """[batch, channels, size, size] of what enters."""
    channels = shape.channels if isinstance(shape, StemShape) else shape.cin
    return (batch, channels, shape.size, shape.size)


def output_shape(shape: Shape, batch: int) -> tuple[int, ...]:
    """[batch, classes] of a head, [batch, cout, size, size] of the others."""
    if isinstance(shape, HeadShape):
        return (batch, shape.classes)
    return (batch, shape.cout, shape.out_size, shape.out_size)


def _model(
    shapes: Sequence[Shape], names: Sequence[str], batch: int, precision: str, seed: int
) -> bytes:
    graph = writer(precision, seed)
    image, logits = isinstance(shapes[0], StemShape), isinstance(shapes[-1], HeadShape)
    tensor = graph.enter(INPUT, image=image)
    for number, (shape, name) in enumerate(zip(shapes, names, strict=True), start=1):
        result = OUTPUT if number == len(shapes) else ""
        tensor = _piece(graph, shape, tensor, result, f"{name}/")
    into, out = input_shape(shapes[0], batch), output_shape(shapes[-1], batch)
    return graph.serialize(into, out, image=image, logits=logits)


def _piece(graph: Writer, shape: Shape, tensor: str, result: str, prefix: str) -> str:
    match shape:
        case StemShape():
            return _stem(graph, shape, tensor, result, prefix)
        case BlockShape():
            return _block(graph, shape, tensor, result, prefix)
        case HeadShape():
            return _head(graph, shape, tensor, result, prefix)


def _stem(graph: Writer, s: StemShape, tensor: str, result: str, prefix: str) -> str:
    pooled = s.kind == "7x7/2+maxpool"
    x = graph.conv(f"{prefix}conv", tensor, (s.cout, s.channels, s.kernel), s.stride)
    x = graph.relu(f"{prefix}relu", x, "" if pooled else result)
    return graph.max_pool(f"{prefix}maxpool", x, result) if pooled else x


def _block(graph: Writer, s: BlockShape, tensor: str, result: str, prefix: str) -> str:
    x = graph.conv(f"{prefix}conv1", tensor, (s.w1, s.cin, 1), 1)
    x = graph.relu(f"{prefix}relu1", x)
    x = graph.conv(f"{prefix}conv2", x, (s.w2, s.w1, 3), s.stride)
    x = graph.relu(f"{prefix}relu2", x)
    x = graph.settled(graph.conv(f"{prefix}conv3", x, (s.cout, s.w2, 1), 1))
    shortcut = tensor
    if s.shortcut == "projection":
        widths = (s.cout, s.cin, 1)
        shortcut = graph.settled(graph.conv(f"{prefix}projection", tensor, widths, s.stride))
    return graph.relu(f"{prefix}relu", graph.add(f"{prefix}add", x, shortcut), result)


def _head(graph: Writer, s: HeadShape, tensor: str, result: str, prefix: str) -> str:
    x = graph.average_pool(f"{prefix}pool", tensor)
    return graph.linear(f"{prefix}fc", x, (s.classes, s.cin), result)
