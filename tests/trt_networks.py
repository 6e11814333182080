"""What a network of TensorRT must look like, asked of TensorRT itself; used by tests.

    python tests/trt_networks.py residual|tf32

prints what is wrong with the `profiler.trt` on the path, and ends with 1 if anything is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from profiler.trt import networks
from profiler.trt.build import Factory
from profiler.trt.errors import Log
from profiler.trt.loading import creation_flags
from profiler.trt.settings import Settings
from supernet.shapes import BlockShape

CHAIN = (
    BlockShape(8, 2, "projection", 16, 8, 8, 32),
    BlockShape(4, 1, "identity", 32, 8, 8, 32),
)


def without_gpu(trt: Any) -> Any:
    """What lets TensorRT-RTX build without a GPU: it is told for which one."""

    def tweak(config: Any) -> None:
        config.num_compute_capabilities = 1
        config.set_compute_capability(trt.ComputeCapability.SM80, 0)

    return tweak


def factory(trt: Any, **options: Any) -> Factory:
    """Builds on this machine's CPU."""
    return Factory(trt, Settings(), tweak=without_gpu(trt), **options)


def layers(network: Any) -> list[Any]:
    return [network.get_layer(number) for number in range(network.num_layers)]


def macs(trt: Any, network: Any) -> int:
    """Multiply-adds of the convolutions and matrix products that are really in a network."""
    total = 0
    for layer in layers(network):
        volume = trt.volume(layer.get_output(0).shape)
        if layer.type == trt.LayerType.CONVOLUTION:
            # the layer's own class is lost in the base class's
            layer.__class__ = trt.IConvolutionLayer
            cin = layer.get_input(0).shape[1]
            total += volume * cin * trt.volume(layer.kernel_size_nd)
        elif layer.type == trt.LayerType.MATRIX_MULTIPLY:
            total += volume * layer.get_input(0).shape[1]
    return total


def unquantised(trt: Any, network: Any) -> Iterator[str]:
    """Layers of an int8 network that read what is not rounded, though they must."""
    made_by = {layer.get_output(0).name: layer for layer in layers(network)}

    def rounded(layer: Any, number: int) -> bool:
        maker = made_by.get(layer.get_input(number).name)
        return maker is not None and maker.type == trt.LayerType.DEQUANTIZE

    for layer in layers(network):
        if layer.type == trt.LayerType.CONVOLUTION:
            if not (rounded(layer, 0) and rounded(layer, 1)):
                yield f"{layer.name} reads floats"
        elif layer.type == trt.LayerType.ELEMENTWISE and len(layer.get_output(0).shape) == 4:
            first = made_by[layer.get_input(0).name]
            if first.type != trt.LayerType.CONVOLUTION:
                yield f"{layer.name} cannot be fused into a convolution"
            if not rounded(layer, 1):
                yield f"{layer.name} reads a residual of floats"
    for number in range(network.num_outputs):
        output = network.get_output(number)
        if len(output.shape) == 4 and output.dtype != trt.int8:
            yield "maps leave as floats"


def _residual(trt: Any) -> list[str]:
    log = Log(trt)
    builder = trt.Builder(log.logger)
    network = builder.create_network(creation_flags(trt))
    kept = networks.chain(CHAIN, 2, "int8")(trt, network, log)
    wrong = list(unquantised(trt, network))
    del kept
    return wrong


def _tf32(trt: Any) -> list[str]:
    config = trt.Builder(Log(trt).logger).create_builder_config()
    Settings().apply(trt, config)
    return ["fp32 layers may use TF32"] if config.get_flag(trt.BuilderFlag.TF32) else []


if __name__ == "__main__":
    import tensorrt_rtx

    found = {"residual": _residual, "tf32": _tf32}[sys.argv[1]](tensorrt_rtx)
    print("\n".join(found))
    sys.exit(bool(found))
