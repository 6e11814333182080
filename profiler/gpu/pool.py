"""`Pool`: device memory for inputs and outputs, shared by all engines that run one after another.

Sixty engines of a session would not find room for inputs of their own. Inputs are random values,
several distinct ones, the same for every engine; outputs are written over. Inputs and outputs never
share memory, so values stay what they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from profiler.feed import INPUTS, samples
from profiler.gpu.device import Buffer, Device
from profiler.gpu.engine import IoTensor

DTYPES: Mapping[str, Any] = {"fp32": np.float32, "fp16": np.float16, "int8": np.int8}


class Pool:
    """Buffers of a device. They grow by powers of two, so that outgrown ones are no more than them.

    An outgrown buffer lives as long as an engine holds it.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._inputs: dict[tuple[str, int], list[Buffer]] = {}
        self._outputs: dict[int, Buffer] = {}

    def feeds(self, tensors: list[IoTensor]) -> list[dict[str, Buffer]]:
        """Buffers by tensor name for each distinct input; the outputs, one for all, in the first.

        Raises:
            OutOfMemoryError: the device has no room.
        """
        feeds: list[dict[str, Buffer]] = [{} for _ in range(INPUTS)]
        entering = [tensor for tensor in tensors if tensor.is_input]
        for place, tensor in enumerate(entering):
            for feed, buffer in zip(feeds, self._filled(tensor, place), strict=True):
                feed[tensor.name] = buffer
        for place, tensor in enumerate(t for t in tensors if not t.is_input):
            if place not in self._outputs or self._outputs[place].nbytes < tensor.nbytes:
                self._outputs[place] = self._device.alloc(_rounded(tensor.nbytes))
            feeds[0][tensor.name] = self._outputs[place]
        return feeds if entering else feeds[:1]

    def _filled(self, tensor: IoTensor, place: int) -> list[Buffer]:
        """One buffer per distinct input, filled to its end: padding lies in memory as values do."""
        key = (tensor.dtype, place)
        known = self._inputs.get(key, [])
        if not known or known[0].nbytes < tensor.nbytes:
            nbytes = _rounded(tensor.nbytes)
            dtype = np.dtype(DTYPES[tensor.dtype])
            known = []
            for values in samples((nbytes // dtype.itemsize,), dtype):
                known.append(self._device.alloc(nbytes))
                self._device.fill(known[-1], values.view(np.uint8))
            self._inputs[key] = known
        return known


def _rounded(nbytes: int) -> int:
    """Up to a power of two, of at least 16 bytes."""
    return 1 << max(4, (nbytes - 1).bit_length())
