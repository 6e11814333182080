"""What can be built: chains of pieces, whole networks, and the two probes of a roofline.

Each function returns a `Fill`, which writes into an empty network of TensorRT. What the pieces are
made of is `profiler.pieces`' matter. Knows nothing of building and running.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from profiler.backend import BackendError
from profiler.pieces import (
    OUTPUT,
    chain_names,
    check_chain,
    copy_shape,
    input_shape,
    is_image,
    is_logits,
    piece_names,
    write,
)
from profiler.trt import api
from profiler.trt.errors import Log
from profiler.trt.formats import ENDS, MAPS
from profiler.trt.module import TensorRT
from profiler.trt.writer import NetworkWriter
from profiler.trt.writer_int8 import QuantisingNetworkWriter
from supernet.config import ChannelConfig
from supernet.network import NetworkSpec
from supernet.shapes import Shape

Fill = Callable[[TensorRT, api.INetworkDefinition, Log], object]
"""Writes a network; what it returns must be kept until the engine is built.

Raises BackendError, with TensorRT's message, where TensorRT refuses a layer.
"""


def chain(
    shapes: Sequence[Shape],
    batch: int,
    precision: str = "fp32",
    *,
    seed: int = 0,
    maps: Sequence[str] | None = None,
) -> Fill:
    """Pieces one after another, with random weights; a single one is a row of a table.

    Args:
        batch: images in the input [batch, channels, size, size], which is fixed.
        precision: fp32, fp16 or int8 (Q/DQ).
        maps: formats of maps that enter or leave, instead of `MAPS` of the precision.

    Raises:
        ConfigError: no piece, or one that does not take what the piece before it gives.
        BackendError: no such precision.
    """
    check_chain(shapes, batch)
    return _pieces(shapes, chain_names(shapes), batch, precision, seed, maps)


def whole(
    network: NetworkSpec, config: ChannelConfig, batch: int, precision: str = "fp32", seed: int = 0
) -> Fill:
    """A whole network with random weights; removed blocks leave no layer.

    Raises:
        ConfigError: the config does not fit the network.
        BackendError: no such precision.
    """
    names = piece_names(network, config)
    return _pieces(network.shapes(config), names, batch, precision, seed, None)


def gemm(side: int, precision: str = "fp32", seed: int = 0) -> Fill:
    """[side, side] times constant weights [side, side]."""
    _check(precision)

    def fill(trt: TensorRT, network: api.INetworkDefinition, log: Log) -> NetworkWriter:
        layers = writer(trt, network, log, precision, seed)
        tensor = layers.begin((side, side), image=False, allowed=ENDS)
        layers.finish(layers.gemm(layers.enter(tensor, image=False), side), allowed=ENDS)
        return layers

    return fill


def copy(elements: int, precision: str = "fp32") -> Fill:
    """Reads `elements` values and writes as many, through a ReLU."""
    _check(precision)

    def fill(trt: TensorRT, network: api.INetworkDefinition, log: Log) -> NetworkWriter:
        layers = writer(trt, network, log, precision, 0)
        tensor = layers.begin(copy_shape(elements), image=False, allowed=ENDS)
        tensor = layers.relu("copy", layers.enter(tensor, image=False), OUTPUT)
        layers.finish(tensor, allowed=ENDS)
        return layers

    return fill


def writer(
    trt: TensorRT, network: api.INetworkDefinition, log: Log, precision: str, seed: int
) -> NetworkWriter:
    """A writer of this precision."""
    if precision == "int8":
        return QuantisingNetworkWriter(trt, network, log, seed=seed)
    return NetworkWriter(trt, network, log, precision=precision, seed=seed)


def _pieces(
    shapes: Sequence[Shape],
    names: Sequence[str],
    batch: int,
    precision: str,
    seed: int,
    maps: Sequence[str] | None,
) -> Fill:
    _check(precision)
    allowed = maps or MAPS[precision]
    image, logits = is_image(shapes), is_logits(shapes)

    def fill(trt: TensorRT, network: api.INetworkDefinition, log: Log) -> NetworkWriter:
        layers = writer(trt, network, log, precision, seed)
        shape = input_shape(shapes[0], batch)
        tensor = layers.begin(shape, image=image, allowed=ENDS if image else allowed)
        tensor = write(layers, shapes, names, tensor)
        layers.finish(tensor, allowed=ENDS if logits else allowed)
        return layers

    return fill


def _check(precision: str) -> None:
    if precision not in MAPS:
        raise BackendError(f"precision must be one of {', '.join(MAPS)}, but got {precision!r}")
