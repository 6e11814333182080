"""`Job`: a spec with its run folder, and what stages read of each other's files.

`Stage` is one step of the pipeline. Heavy imports belong inside a stage's functions, so that
the command line starts without torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.submission import Needs
from latency_tables.table import LatencyTable
from service.console import Report
from service.gathering import ALONE, Gathering
from service.spec import JobSpec, TargetSpec, resolve
from service.store import RunFolder, read_json
from supernet.arithmetic import count
from supernet.config import ChannelConfig
from supernet.space import SearchSpace

if TYPE_CHECKING:
    from latency_tables.predict import Predictor
    from search.goal import Goal
    from search.history import History
    from search.problem import Problem
    from training.data import Data


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One step of the pipeline.

    Attributes:
        after: stages whose files it reads.
        settings: the part of the spec that decides its result; with the hashes of the files it
            reads this is the key under which a finished stage is reused.
        measures: the target that it measures on, where it does: it then has the host to itself.
        needs: devices that it holds on a server, where it does not measure.
        join: the part of a member on another host, by its number, where several run it.
        checks: told before it starts, once all tables are there, what would make its work useless.
        run: does the work in its folder and returns the names of the files that are its result.
            Called again in the same folder after an interruption, it continues.
    """

    name: str
    summary: str
    after: Callable[[JobSpec], tuple[str, ...]]
    settings: Callable[[JobSpec], object]
    run: Callable[[Job, Path, Report], list[str]]
    measures: Callable[[JobSpec], TargetSpec] | None = None
    needs: Callable[[JobSpec], Needs] = lambda spec: Needs()
    join: Callable[[Job, Path, Mapping[str, Any], int], None] | None = None
    checks: Callable[[Job], None] = lambda job: None


def always(*stages: str) -> Callable[[JobSpec], tuple[str, ...]]:
    """`after` of a stage that reads the same stages whatever the spec."""
    return lambda spec: stages


def own_target(spec: JobSpec) -> TargetSpec:
    """`measures` of a stage that measures on the job's own target."""
    return spec.target


def further_stage(name: str) -> str:
    """The stage that measures the table of a further target."""
    return f"profile-{name}"


def measured_stage(name: str) -> str:
    """The stage that measures the finalists on a further target."""
    return f"measure-{name}"


def measured_stages(spec: JobSpec) -> tuple[str, ...]:
    """The stages that measure the finalists."""
    return ("measure", *map(measured_stage, spec.limits.run_on()))


def tables(spec: JobSpec) -> tuple[str, ...]:
    """The stages whose tables decide what a config costs."""
    return ("profile", *(further_stage(name) for name in spec.limits.targets()))


class Job:
    """A spec and its run folder.

    Attributes:
        gathering: hosts that run the present stage together.
    """

    def __init__(self, spec: JobSpec, folder: RunFolder, gathering: Gathering = ALONE) -> None:
        self.spec = spec
        self.folder = folder
        self.gathering = gathering

    def file(self, stage: str, name: str) -> Path:
        """A file of a stage."""
        return self.folder.stage(stage) / name

    def json(self, stage: str, name: str) -> Any:
        """A JSON file of a stage."""
        return read_json(self.file(stage, name))

    def set_threads(self) -> None:
        """Gives torch the job's number of CPU threads."""
        import torch

        if self.spec.cpu_threads is not None:
            torch.set_num_threads(self.spec.cpu_threads)

    def data(self) -> Data:
        """The job's images."""
        from training.data import load

        self.set_threads()
        spec, network = self.spec.data, self.spec.network
        return load(
            spec.name,
            path=spec.path,
            resolution=network.resolution,
            channels=network.channels,
            val_size=spec.validation,
            limit=spec.limit,
            seed=self.spec.seed,
        )

    def full_space(self) -> SearchSpace:
        """The space as the spec gives it."""
        return self.spec.space.build(self.spec.network)

    def space(self) -> SearchSpace:
        """The space after the stairs narrowed it."""
        choices = self.json("profile", "space.json")["choices"]
        return SearchSpace(
            network=self.spec.network,
            choices=tuple(tuple(widths) for widths in choices),
            tied=self.spec.space.tied,
        )

    def table(self) -> LatencyTable:
        """The job's latency table."""
        return LatencyTable.load(self.file("profile", "table.json"))

    def predictors(self) -> dict[str, Predictor]:
        """By metric, the predictor of each table: the job's own, and those of further limits."""
        from latency_tables.predict import Predictor

        return {"latency_ms": Predictor(self.table())} | {
            f"latency_ms:{name}": Predictor(self._further(name), self.spec.network)
            for name in self.spec.limits.further
        }

    def _further(self, name: str) -> LatencyTable:
        from latency_tables.shipped import load

        given = self.spec.limits.further[name].table
        if given is not None:
            return load(given)
        return LatencyTable.load(self.file(further_stage(name), "table.json"))

    def budget(self, predictors: Mapping[str, Predictor]) -> dict[str, float]:
        """The limits as numbers; percentages are of the dense network."""
        reference = self._dense(predictors)
        return {
            metric: resolve(value, reference[metric], f"limits.{metric}")
            for metric, value in self.spec.limits.given().items()
        }

    def floors(self, predictors: Mapping[str, Predictor]) -> dict[str, float]:
        """The lower ends of bands, likewise."""
        reference = self._dense(predictors)
        return {
            metric: resolve(value, reference[metric], f"limits.at_least.{metric}")
            for metric, value in self.spec.limits.at_least.items()
        }

    def _dense(self, predictors: Mapping[str, Predictor]) -> dict[str, float]:
        """What the dense network costs; its latencies as measured beside a table's other networks
        where they were, else as predicted."""
        dense = self.spec.network.dense()
        macs, params = count(self.spec.network, dense)
        found = {"macs": float(macs), "params": float(params)}
        for metric, predictor in predictors.items():
            rows = [row for row in predictor.table.networks if row.config == dense]
            found[metric] = (
                rows[0].measurement.median if rows else predictor.config(dense).predicted
            )
        return found

    def problem(self) -> Problem:
        """What the search solves: the narrowed space under the spec's limits.

        Raises:
            TableError: a further table cannot be read.
            TargetMismatchError: it covers another network.
            SearchError: a floor above its limit.
        """
        from search.metrics import Latency, Macs, Params
        from search.problem import Constraint, Metric, Problem

        network, predictors = self.spec.network, self.predictors()
        metrics: dict[str, Metric] = {
            "macs": Macs(network=network),
            "params": Params(network=network),
        }
        metrics |= {name: Latency(predictor=found) for name, found in predictors.items()}
        floors = self.floors(predictors)
        return Problem(
            space=self.space(),
            metrics=metrics,
            constraints=tuple(
                Constraint(metric=metric, limit=limit, floor=floors.get(metric, 0.0))
                for metric, limit in self.budget(predictors).items()
            ),
        )

    def feasible(self) -> None:
        """Returns where some config meets the limits.

        Raises:
            InfeasibleError: none does.
        """
        from search.feasibility import check

        check(self.problem())

    def goal(self, problem: Problem) -> Goal | None:
        """The least latency above an estimate, where that is wanted."""
        from search.goal import Goal

        floor = self.spec.search.at_least
        return None if floor is None else Goal.of(problem, "latency_ms", floor)

    def history(self) -> History:
        """Everything the search proposed."""
        from search.history import History

        return History.from_json(self.json("search", "search.json")["candidates"])

    def finalists(self) -> dict[str, ChannelConfig]:
        """Names and configs of what is trained: dense, uniform, found-1, found-2, ..."""
        chosen = self.json("select", "finalists.json")["configs"]
        return {name: ChannelConfig.from_json(config) for name, config in chosen.items()}
