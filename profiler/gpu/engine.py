"""`Engine`: what the timing of a built model needs of a GPU runtime. Knows no runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class IoTensor:
    """An input or output of an engine.

    Attributes:
        dtype: fp32, fp16 or int8.
        shape: as the model has it, without padding.
        nbytes: bytes to allocate, channels padded to the vector width of the tensor's format.
    """

    name: str
    is_input: bool
    dtype: str
    shape: tuple[int, ...]
    nbytes: int


class Engine(Protocol):
    """A model ready to run on the device of this process."""

    @property
    def tensors(self) -> Sequence[IoTensor]:
        """Inputs and outputs."""

    def bind(self, name: str, address: int) -> None:
        """Tells where a tensor lies in device memory.

        Raises:
            BackendError: the runtime refuses it.
        """

    def enqueue(self, stream: int) -> None:
        """Queues one run on a stream, given by its handle; does not wait.

        Raises:
            BackendError: the runtime refuses it.
        """

    def notes(self) -> dict[str, str]:
        """What is known of how it was built, such as tile sizes."""
