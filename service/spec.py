"""`JobSpec`: the one schema of a job, for YAML files and every other door.

Unknown keys, wrong types and broken rules raise `SpecError` with one line that names the field,
the value and the valid choices. Knows nothing of what this machine can do; `service.doctor` does.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, Field, ValidationError, model_validator

from service.spec_part import Part, closed
from service.spec_part import SpecError as SpecError  # raised here, and so looked for here
from service.spec_quantise import QuantiseSpec, layers
from service.yaml_text import MOST, read
from supernet.config import ChannelConfig, ConfigError
from supernet.kinds import Kind
from supernet.network import NetworkSpec
from supernet.space import SearchSpace
from training.criterion import parts
from training.recipe import Recipe, SupernetRecipe

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
MOST_NAME = 40  # characters of a further target, whose name is part of a stage's
LONGEST = 300  # characters of a value or reason that an error repeats


class DataSpec(Part):
    """Images: a data set, found in `training/datasets/`."""

    name: str
    path: Path | None = None
    """Where its files are; not needed for bundled sets."""
    validation: int = Field(default=500, ge=1)
    """Images cut from the training data to steer the search; the test set is read once, last."""
    limit: int | None = Field(default=None, ge=1)
    """Use only this many training images."""


class SpaceSpec(Part):
    """Widths per gene, as ratios of the dense width."""

    lowest: float = Field(default=0.25, gt=0, le=1)
    step: float = Field(default=0.125, ge=1 / 256, le=1)
    divisor: int = Field(default=1, ge=1)
    """Widths are rounded to multiples of this; 1 leaves the choice to the measured stairs."""
    tied: bool = True
    removable: bool = False
    narrow: bool = True
    """Keep only widths that no larger width matches in latency."""

    def build(self, network: NetworkSpec) -> SearchSpace:
        """The space before it is narrowed."""
        count = math.floor((1 - self.lowest) / self.step + 1e-9)
        ratios = [1 - self.step * i for i in range(count + 1)]
        return SearchSpace.from_ratios(
            network, ratios, divisor=self.divisor, tied=self.tied, removable=self.removable
        )


class TargetSpec(Part):
    """What the network shall be fast on."""

    backend: str = "onnxruntime"
    device: str | None = None
    """For backends that do not find it themselves, such as `modelled`: which GPU."""
    on: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")] = None
    """Class of the hosts that measure, as the server's `--device-class` or a cluster's
    `device:CLASS` names them; by default the server's own machine."""
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    batch: int = Field(default=1, ge=1)
    threads: int = Field(default=1, ge=1)


class ProfileSpec(Part):
    """How much is measured for the latency table."""

    table: Path | None = None
    """A table file measured before on this target; nothing is measured then."""
    points_per_geometry: int = Field(default=150, ge=8)
    """Most shapes per bottleneck geometry; measuring ends before where the error allows it."""
    target_error_percent: float = Field(default=2.5, gt=0)
    """Mean error of left-out rows at which a geometry has enough points."""
    chains: int = Field(default=60, ge=0)
    """Bottlenecks measured behind each other, which tell what isolation adds."""
    networks_fit: int = Field(default=100, ge=5)
    networks_held_out: int = Field(default=40, ge=5)
    rounds: int = Field(default=11, ge=3)


class FurtherLimit(Part):
    """A latency limit on a further target: another device, precision or batch."""

    table: str | None = None
    """A table file, or the name of a shipped table; it must cover the job's network."""
    target: TargetSpec | None = None
    """Or what is to be measured for it, by the job's `profile`; `on` says by which hosts."""
    latency_ms: float | str
    """A number, or a percentage of the dense network there."""

    @model_validator(mode="after")
    def _either(self) -> FurtherLimit:
        if (self.table is None) == (self.target is None):
            both = "neither" if self.table is None else "both"
            raise SpecError(f"a further limit needs either table or target, but has {both}")
        return self


class Limits(Part):
    """Budgets: a number, or a percentage of the dense network such as `"45%"`."""

    macs: float | str | None = None
    params: float | str | None = None
    latency_ms: float | str | None = None
    further: dict[str, FurtherLimit] = Field(default_factory=dict)
    """By a name of your choice; the metric of NAME is called `latency_ms:NAME`."""
    at_least: dict[str, float | str] = Field(default_factory=dict)
    """Lower ends of bands, by metric, for metrics that have a limit as well."""

    @model_validator(mode="after")
    def _known(self) -> Limits:
        for name in self.further:
            if not (re.fullmatch(NAME, name) and len(name) <= MOST_NAME):
                raise SpecError(
                    f"a name in limits.further must match {NAME} and have at most {MOST_NAME} "
                    f"characters, got {name!r:.120}"
                )
        limits = self.given()
        for name, value in limits.items():
            resolve(value, 1.0, f"limits.{name}")
        for name, value in self.at_least.items():
            if name not in limits:
                valid = ", ".join(limits) or "none"
                raise SpecError(f"limits.at_least: {name!r} has no limit; those that have: {valid}")
            resolve(value, 1.0, f"limits.at_least.{name}")
        return self

    def given(self) -> dict[str, float | str]:
        """The limits that are set, by metric."""
        own = {"macs": self.macs, "params": self.params, "latency_ms": self.latency_ms}
        own |= {f"latency_ms:{name}": limit.latency_ms for name, limit in self.further.items()}
        return {k: v for k, v in own.items() if v is not None}

    def targets(self) -> dict[str, TargetSpec]:
        """Further targets that are measured, by name."""
        found = {name: limit.target for name, limit in self.further.items()}
        return {name: target for name, target in found.items() if target is not None}

    def run_on(self) -> list[str]:
        """Those of them that networks are run on."""
        return [name for name, found in self.targets().items() if found.backend != "modelled"]


class CapacitySpec(Part):
    """The check that this data can tell configs apart: largest against smallest config."""

    recipe: Annotated[Recipe, closed(Recipe)]
    seeds: int = Field(default=2, ge=2)
    images: int | None = Field(default=None, ge=1)


class SupernetSpec(Part):
    """Training of the weights that all configs share or are generated from, and its estimates."""

    kind: Kind = "sliced"
    """Slices of shared weights, or MetaPruning's generator of weights."""
    recipe: Annotated[SupernetRecipe, closed(SupernetRecipe)]
    start: Literal["random", "teacher", "sorted"] = "random"
    """Untrained, or the teacher's weights, as they are or with the important channels first."""
    widths: Literal["all", "narrowed"] = "all"
    """What training draws from: the whole space, or what the measured stairs leave of it."""
    device: Literal["cpu", "cuda"] = "cpu"
    processes: int = Field(default=1, ge=1, le=64)
    """Processes that train together, each on its part of every batch; with cuda one a GPU."""
    hosts: int = Field(default=1, ge=1, le=64)
    """Hosts of a server that train together, with as many processes each."""
    tensorboard: bool = False
    """Write training curves beside the checkpoints."""
    recalibration_images: int = Field(default=512, ge=1)
    validation_images: int | None = Field(default=None, ge=1)
    """Images of the search-validation split used per estimate; all of them if not set."""
    workers: int = Field(default=1, ge=1, le=256)
    """Processes that score configs; their number changes no score. With cuda one a GPU."""
    worker_threads: int | None = Field(default=None, ge=1)
    """CPU threads of each of them; the job's `cpu_threads` if not set."""
    scores: Path | None = None
    """A file of scores that runs share; one in the run folder if not set."""

    @model_validator(mode="after")
    def _fits(self) -> SupernetSpec:
        if self.start != "random" and self.kind != "sliced":
            raise SpecError(f"start: {self.start} needs kind: sliced, got kind: {self.kind}")
        return self

    def decides(self) -> dict[str, Any]:
        """What of this decides the trained weights; nothing where all is as it always was."""
        names = {"kind", "start", "widths", "device", "processes", "hosts"}
        return self.model_dump(include=names, exclude_defaults=True)

    def judges(self) -> dict[str, Any]:
        """What of this decides an estimate, beside the weights."""
        found = {
            "recalibration_images": self.recalibration_images,
            "validation_images": self.validation_images,
        }
        return found | self.model_dump(include={"worker_threads"}, exclude_defaults=True)


class SearchSpec(Part):
    """How configs are proposed."""

    objective: Literal["estimate", "macs"] = "estimate"
    """What to maximise: the supernet's accuracy estimate, or, without any data, the MACs."""
    at_least: float | None = Field(default=None, allow_inf_nan=False)
    """The least latency with at least this estimate is wanted then, not the highest estimate."""
    searcher: str = "evolution"
    options: dict[str, Any] = Field(default_factory=dict)
    first: tuple[str, ...] = ()
    """Pruning criteria whose configs are asked first, alone or combined as in `l1+fpgm`."""
    hosts: int = Field(default=1, ge=1, le=64)
    """Hosts of a server that score configs, as they come free; their number changes no score."""
    evaluations: int = Field(default=200, ge=1)
    generation: int = Field(default=40, ge=1)
    finalists: int = Field(default=2, ge=1)

    @model_validator(mode="after")
    def _criteria(self) -> SearchSpec:
        for name in self.first:
            try:
                parts(name)
            except ValueError as error:
                raise SpecError(f"first: {error}") from None
        return self


class TrainSpec(Part):
    """Training of the teacher (the dense network) and of the finalists, from scratch."""

    teacher: Annotated[Recipe, closed(Recipe)]
    teacher_weights: Path | None = None
    """Trained weights of the dense network (safetensors); no teacher is trained then."""
    recipe: Annotated[Recipe, closed(Recipe)]
    device: Literal["cpu", "cuda"] = "cpu"
    """Where the teacher, the finalists and the networks of the capacity check are trained."""
    processes: int = Field(default=1, ge=1, le=64)
    """Processes that train a finalist together, as those of the supernet."""
    hosts: int = Field(default=1, ge=1, le=64)
    """Hosts of a server that do, with as many processes each."""
    seeds: int = Field(default=1, ge=1)
    configs: list[dict[str, Any]] = Field(default_factory=list, max_length=16)
    """Channel configs to train instead of those that the search would pick."""

    def decides(self, *fields: str) -> dict[str, Any]:
        """Those of these fields that are not as usual."""
        return self.model_dump(include=set(fields), exclude_defaults=True)


class VerifySpec(Part):
    """Measuring the exported finalists, end to end."""

    rounds: int = Field(default=11, ge=5)


class JobSpec(Part):
    """A whole job."""

    name: str = Field(pattern=NAME, max_length=100)
    seed: int = Field(default=0, ge=0)
    cpu_threads: int | None = Field(default=None, ge=1)
    """CPU threads of training and estimates, all cores if not set; small networks want 1."""
    network: Annotated[NetworkSpec, closed(NetworkSpec)]
    data: DataSpec
    space: SpaceSpec = SpaceSpec()
    target: TargetSpec = TargetSpec()
    profile: ProfileSpec = ProfileSpec()
    limits: Limits
    capacity: CapacitySpec
    supernet: SupernetSpec
    search: SearchSpec = SearchSpec()
    train: TrainSpec
    quantise: QuantiseSpec = QuantiseSpec()
    verify: VerifySpec = VerifySpec()

    @model_validator(mode="after")
    def _trainable(self) -> JobSpec:
        for number, config in enumerate(self.train.configs):
            try:
                self.network.check(ChannelConfig.from_json(config))
            except ConfigError as error:
                raise SpecError(f"train.configs.{number}: {error}") from None
        return self

    @model_validator(mode="after")
    def _layers(self) -> JobSpec:
        valid = layers(self.network) if self.quantise.keep else []
        for name in self.quantise.keep:
            if name not in valid:
                known = f"{valid[0]}, {valid[1]}, ..., {valid[-1]}"
                raise SpecError(f"quantise.keep: no layer {name!r}; valid: {known}")
        return self

    def chosen(self) -> list[ChannelConfig]:
        """The configs that are to be trained whatever the search picks; distinct, in order."""
        found = [ChannelConfig.from_json(config) for config in self.train.configs]
        return list(dict.fromkeys(found))


def resolve(value: float | str, dense: float, field: str) -> float:
    """A limit as a number: itself, or a percentage of what the dense network costs.

    Raises:
        SpecError: not a positive number or percentage.
    """
    try:
        if isinstance(value, str):
            if not value.endswith("%"):
                raise ValueError(value)
            number = float(value[:-1]) / 100 * dense
        else:
            number = float(value)
    except (ValueError, OverflowError):
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise SpecError(f"{field} must be a number > 0 or a percentage like '45%', got {value!r}")
    return number


def parse(text: str, source: str = "job") -> JobSpec:
    """Reads a job from YAML text.

    Raises:
        SpecError: see the module.
    """
    try:
        data = read(text)
    except ValueError as error:
        reason = _short(str(error))
        raise SpecError(f"{source}: not a YAML document of plain values: {reason}") from None
    return from_data(data, source)


def from_data(data: object, source: str = "job") -> JobSpec:
    """Reads a job from plain values, as JSON or YAML holds them.

    Raises:
        SpecError: see the module.
    """
    try:
        # Strict JSON mode: "8" is no number, yet a list is a tuple.
        return JobSpec.model_validate_json(json.dumps(data))
    except ValidationError as error:
        wrong = SpecError(f"{source}: {first_error(error)}")
        place = error.errors(include_url=False)[0]["loc"]
        wrong.field = _short(".".join(str(part) for part in place)) or None
        raise wrong from None


def load(path: Path) -> JobSpec:
    """Reads a job file; see `parse`."""
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(MOST + 1)
    except (OSError, ValueError) as error:
        raise SpecError(f"{path}: cannot be read: {error}") from None
    return parse(text, str(path))


def _short(text: str) -> str:
    """One line of at most `LONGEST` characters."""
    line = " ".join(text[: LONGEST + 1].split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} ..."


def first_error(error: ValidationError, root: type[BaseModel] | None = None) -> str:
    """The first broken rule in one line, and how many more there are."""
    problems = error.errors(include_url=False)
    first = problems[0]
    field = _short(".".join(str(part) for part in first["loc"])) or "job"
    message = _short(first["msg"].removeprefix("Value error, "))
    got = "" if isinstance(first["input"], dict) else f", got {_short(repr(first['input']))}"
    if first["type"] == "extra_forbidden":
        message, got = f"unknown key; valid: {_valid_keys(first['loc'], root or JobSpec)}", ""
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{field}: {message}{got}{more}"


def _valid_keys(location: tuple[int | str, ...], root: type[BaseModel]) -> str:
    kind: Any = root
    for part in location[:-1]:
        kind = kind.model_fields[str(part)].annotation
        kind = next((k for k in get_args(kind) if hasattr(k, "model_fields")), kind)
    return ", ".join(kind.model_fields)
