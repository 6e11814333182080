"""What is compared: methods and budgets, and the problem that each of them solves.

Knows nothing of devices or of who works in which order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from search.problem import Problem
from service.job import Job
from service.spec import JobSpec, Limits, from_data
from service.store import RunFolder

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
    """A study and its folder; `folder/job` is a run that was profiled.

    Attributes:
        spec: the job that the study is about.
        speedups: budgets: the dense network's predicted latency, divided by these.
    """

    spec: JobSpec
    speedups: tuple[float, ...]
    folder: Path

    @classmethod
    def of(cls, file: Path, folder: Path, images: Path | None = None) -> Study:
        """Reads a file of `speedups` and `job`.

        Args:
            images: the folder of the job's data set, where it needs one.

        Raises:
            SpecError: the job is wrong.
        """
        given = yaml.safe_load(file.read_text(encoding="utf-8"))
        spec = from_data(given["job"], str(file))
        data = spec.data.model_copy(update={"path": images})
        return cls(spec.model_copy(update={"data": data}), tuple(given["speedups"]), folder)

    def names(self) -> Iterator[tuple[str, str, float]]:
        """Name, method and budget of every network but the dense one."""
        for speedup in self.speedups:
            for method in METHODS:
                yield name(method, speedup), method, speedup

    def job(self, speedup: float = 1.0) -> Job:
        """The profiled run under one budget."""
        limits = Limits(latency_ms=f"{100 / speedup}%")
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
