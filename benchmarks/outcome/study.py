"""What is compared: methods and budgets, and the problem that each of them solves.

Knows nothing of devices or of who works in which order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from search.problem import Problem
from service import spec as specs
from service.job import Job
from service.store import RunFolder

SPEEDUPS = (1.5, 2.5, 4.0)
"""Budgets: the dense network's predicted latency, divided by these."""
SLOWER: dict[str, tuple[float, ...]] = {"outcome-tiny-imagenet-20": (1.5, 2.5, 3.0)}
"""Where the smallest network of the space is less than four times as fast as the dense one."""
DENSE = "dense"
METHODS: dict[str, tuple[str, ...]] = {
    "uniform": (),
    "l1": ("teacher",),
    "fpgm": ("teacher",),
    "found": ("teacher", "supernet"),
    "random": ("supernet",),
    "macs": ("supernet",),
}
"""What gives a config, and the trainings that it looks at; see `benchmarks.outcome.methods`."""


@dataclass(frozen=True, slots=True)
class Study:
    """A spec and the folder of its study; `folder/job` is a run that was profiled."""

    spec: specs.JobSpec
    folder: Path

    @classmethod
    def of(cls, spec: Path, folder: Path, images: Path | None = None) -> Study:
        """Reads a spec; `images` is the folder of its data set, where it needs one."""
        found = specs.load(spec)
        data = found.data.model_copy(update={"path": images})
        return cls(found.model_copy(update={"data": data}), folder)

    @property
    def speedups(self) -> tuple[float, ...]:
        """The budgets of this study."""
        return SLOWER.get(self.spec.name, SPEEDUPS)

    def names(self) -> Iterator[tuple[str, str, float]]:
        """Name, method and budget of every network but the dense one."""
        for speedup in self.speedups:
            for method in METHODS:
                yield name(method, speedup), method, speedup

    def job(self, speedup: float = 1.0) -> Job:
        """The profiled run under one budget."""
        limits = specs.Limits(latency_ms=f"{100 / speedup}%")
        return Job(self.spec.model_copy(update={"limits": limits}), RunFolder(self.folder / "job"))

    def narrowed(self, speedup: float) -> Problem:
        """The widths that the table's right edges leave, under the latency."""
        return self.job(speedup).problem()

    def plain(self, speedup: float) -> Problem:
        """All widths of the space, 3 % of the dense ones apart as in MetaPruning."""
        return replace(self.narrowed(speedup), space=self.job().full_space())


def name(method: str, speedup: float) -> str:
    """What a method's network at a budget is called, such as `found@2.5`."""
    return f"{method}@{speedup:g}"
