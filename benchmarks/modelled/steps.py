"""The stairs of a modelled bottleneck: how far its inner widths can grow for the same time.

Stage 3's second bottleneck (14x14, 1024 -> w -> w -> 1024), every width from 1 to dense, straight
from the model. Knows nothing of tables and search.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Any

from profiler.modelled.cost import total_ms
from profiler.modelled.gpus import GPUS
from profiler.sweep import named_shape, sweep
from supernet.network import NetworkSpec

BLOCK = "stage3.1"
WIDEST = 256
CASES = (
    ("a100", "int8", 128),
    ("a100", "fp16", 128),
    ("a100", "fp32", 128),
    ("t4", "int8", 128),
    ("h100", "int8", 128),
    ("l4", "int8", 128),
    ("orin", "int8", 8),
    ("a100", "int8", 1),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stairs:
    """One sweep.

    Attributes:
        ms: latency at each width from 1 on.
    """

    device: str
    precision: str
    batch: int
    ms: tuple[float, ...]

    @property
    def runs(self) -> list[int]:
        """Lengths of the runs of widths that cost exactly the same, from left to right."""
        return [len(list(run)) for _, run in groupby(self.ms)]

    @property
    def edges(self) -> list[int]:
        """The last width of each run."""
        ends, at = [], 0
        for length in self.runs:
            at += length
            ends.append(at)
        return ends

    def to_json(self) -> dict[str, Any]:
        """With the highest step in percent of what is left of it, and where it is."""
        steps = [
            (b / a - 1, w) for w, (a, b) in enumerate(zip(self.ms, self.ms[1:], strict=False), 1)
        ]
        height, width = max(steps)
        return {
            "device": GPUS[self.device].name,
            "origin": "modelled",
            "precision": self.precision,
            "batch": self.batch,
            "block": BLOCK,
            "shortest_run": min(self.runs),
            "longest_run": max(self.runs),
            "right_edges": self.edges,
            "highest_step_percent": 100 * height,
            "highest_step_behind": width,
            "ms": list(self.ms),
        }


def stairs(device: str, precision: str, batch: int) -> Stairs:
    """The sweep on one device."""
    shapes = sweep(named_shape(NetworkSpec(), BLOCK), "w", range(1, WIDEST + 1))
    return Stairs(
        device=device,
        precision=precision,
        batch=batch,
        ms=tuple(total_ms([shape], device, batch, precision) for shape in shapes),
    )
