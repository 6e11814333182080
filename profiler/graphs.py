"""ONNX graphs of stems, bottlenecks, heads, chains and whole networks with random weights.

Written node by node, because a table needs thousands of them: no torch, no tracing, milliseconds
each. Latency does not depend on the weights' values, as long as they are neither zero nor
denormal. What the pieces are made of is `profiler.pieces`' matter, how a layer is written in a
precision `profiler.graph_writer`'s. Knows nothing of runtimes and timing.
"""

from __future__ import annotations

from collections.abc import Sequence

from profiler.graph_writer import Writer, writer
from profiler.pieces import (
    INPUT,
    chain_names,
    check_chain,
    input_shape,
    is_image,
    is_logits,
    output_shape,
    piece_names,
    write,
)
from supernet.config import ChannelConfig
from supernet.network import NetworkSpec
from supernet.shapes import Shape


def block_model(
    shape: Shape, batch: int, precision: str = "fp32", seed: int = 0, *, symmetric: bool = False
) -> bytes:
    """One stem, bottleneck or head as a serialized ONNX model.

    Args:
        batch: images in the input [batch, channels, size, size], which is fixed in the graph.
        precision: fp32, fp16 or int8 (Q/DQ).
        symmetric: int8 as TensorRT reads it; see `profiler.graph_writer_int8`.
    """
    return chain_model([shape], batch, precision, seed, symmetric=symmetric)


def chain_model(
    shapes: Sequence[Shape],
    batch: int,
    precision: str = "fp32",
    seed: int = 0,
    *,
    symmetric: bool = False,
) -> bytes:
    """Pieces one after another as a serialized ONNX model.

    Raises:
        ConfigError: no piece, or one that does not take what the piece before it gives.
    """
    check_chain(shapes, batch)
    graph = writer(precision, seed, symmetric=symmetric)
    return _model(graph, shapes, chain_names(shapes), batch)


def network_model(
    network: NetworkSpec,
    config: ChannelConfig,
    batch: int,
    precision: str = "fp32",
    seed: int = 0,
    *,
    symmetric: bool = False,
) -> bytes:
    """A whole network as a serialized ONNX model; removed blocks leave no node.

    Raises:
        ConfigError: the config does not fit the network.
    """
    names = piece_names(network, config)
    graph = writer(precision, seed, symmetric=symmetric)
    return _model(graph, network.shapes(config), names, batch)


def _model(graph: Writer, shapes: Sequence[Shape], names: Sequence[str], batch: int) -> bytes:
    write(graph, shapes, names, INPUT)
    into, out = input_shape(shapes[0], batch), output_shape(shapes[-1], batch)
    return graph.serialize(into, out, image=is_image(shapes), logits=is_logits(shapes))
