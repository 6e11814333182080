"""`Form`: which eight bits a runtime computes with best, and what that asks of the file.

On x86 the integer products are of unsigned maps with signed weights. Without the VNNI
instructions two such products are added in 16 bits, where they can overflow: weights of 7 bits
keep them inside (onnxruntime's quantisation guide). TensorRT takes symmetric int8 alone, and fuses
a residual addition into the convolution before it only if nothing is rounded between them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

Kind = Literal["uint8", "symmetric"]
_X86 = ("avx2", "avx512")
_EXACT = ("vnni", "amx")


@dataclass(frozen=True, slots=True)
class Form:
    """How a file holds its integers.

    Attributes:
        kind: "uint8" maps with a zero point, for CPUs; "symmetric" int8 maps, for TensorRT.
        reduce_range: weights of 7 bits instead of 8.
    """

    kind: Kind = "uint8"
    reduce_range: bool = False

    def __str__(self) -> str:
        return f"{self.kind} maps, weights of {7 if self.reduce_range else 8} bits"


def needs_reduced_range(flags: Collection[str]) -> bool:
    """Whether products of this CPU can overflow with weights of 8 bits.

    Args:
        flags: words of `profiler.machine.isa_flags`; those of an ARM processor never need it.
    """
    return any(flag in flags for flag in _X86) and not any(flag in flags for flag in _EXACT)
