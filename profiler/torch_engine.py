"""`TorchEngine`: a torch module on a CUDA device as a `gpu.engine.Engine`.

Its input lies where it is told to; what it computes lies in torch's own memory. Imports torch, so
it is imported only where torch is used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch import Tensor, nn

from profiler.backend import BackendError, OutOfMemoryError
from profiler.gpu.engine import IoTensor
from profiler.torch_fused import unfused

INPUT = "input"
TYPES = {"fp32": ("<f4", torch.float32), "fp16": ("<f2", torch.float16)}
"""How an array interface and torch call a precision."""


class _Lying:
    """Memory at an address, as libraries tell each other of arrays."""

    def __init__(self, interface: dict[str, object]) -> None:
        self.interface = interface


class _OnGpu(_Lying):
    @property
    def __cuda_array_interface__(self) -> dict[str, object]:
        return self.interface


class _OnCpu(_Lying):
    @property
    def __array_interface__(self) -> dict[str, object]:
        return self.interface


class TorchEngine:
    """A module on its device, ready to run; maps lie channels last.

    Args:
        shape: of its input.
        what: names it in errors.
        device: "cpu" only to try it without a GPU; streams are ignored there.
    """

    def __init__(
        self,
        module: nn.Module,
        shape: Sequence[int],
        precision: str,
        what: str,
        device: str = "cuda:0",
    ) -> None:
        self._module, self._shape, self._what = module, tuple(shape), what
        self._device, self._precision = device, precision
        self._input: Tensor | None = None

    @property
    def tensors(self) -> Sequence[IoTensor]:
        """The input; the output is torch's."""
        nbytes = math.prod(self._shape) * TYPES[self._precision][1].itemsize
        return [
            IoTensor(
                name=INPUT,
                is_input=True,
                dtype=self._precision,
                shape=self._shape,
                nbytes=nbytes,
            )
        ]

    def bind(self, name: str, address: int) -> None:
        """Tells where the input lies."""
        typestr, dtype = TYPES[self._precision]
        interface: dict[str, object] = {
            "shape": self._shape,
            "strides": tuple(step * dtype.itemsize for step in _strides(self._shape)),
            "typestr": typestr,
            "data": (address, False),
            "version": 3,
        }
        if self._device == "cpu":
            self._input = torch.from_numpy(np.asarray(_OnCpu(interface)))
        else:
            self._input = torch.as_tensor(_OnGpu(interface), device=self._device)

    def enqueue(self, stream: int) -> None:
        """Queues one run; does not wait.

        Raises:
            OutOfMemoryError: no room for what it computes.
            BackendError: torch refuses.
        """
        try:
            self.run(stream)
        except torch.OutOfMemoryError as error:
            raise OutOfMemoryError(f"torch has no memory for {self._what}: {error}") from None
        except RuntimeError as error:
            raise BackendError(f"torch cannot run {self._what}: {error}") from None

    def run(self, stream: int) -> Tensor:
        """As `enqueue`, with the output, which the stream has yet to compute; torch's errors."""
        assert self._input is not None, "bind its input first"
        with _on(stream, self._device), torch.inference_mode():
            result: Tensor = self._module(self._input)
        return result

    def notes(self) -> dict[str, str]:
        """Which convolutions run in more than one kernel."""
        names = unfused(self._module)
        return {"unfused": " ".join(names)} if names else {}


def _on(stream: int, device: str) -> AbstractContextManager[object]:
    if device == "cpu":
        return nullcontext()
    own = torch.cuda.ExternalStream(stream)  # type: ignore[no-untyped-call]
    return torch.cuda.stream(own)


def _strides(shape: Sequence[int]) -> tuple[int, ...]:
    """In elements; maps channels last."""
    if len(shape) == 4:
        _, c, h, w = shape
        return (h * w * c, 1, w * c, c)
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))
