"""`FitSpec`: how candidates are trained outside of a job, `stairprune fit`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from service.spec import DataSpec, first_error
from service.spec_part import Part, SpecError, closed
from service.yaml_text import read
from supernet.network import NetworkSpec
from training.recipe import Recipe


class TeacherSpec(Part):
    """Who distils."""

    weights: Path
    """safetensors or a state dict (.pth): a ResNet of any depth and width, or a timm model's."""
    timm: str | None = None
    """Name of the timm model that the weights are for."""
    cache: bool = False
    """Ask it once for every image and keep the answers; only where images are not augmented."""


class FitSpec(Part):
    """A recipe file."""

    network: Annotated[NetworkSpec, closed(NetworkSpec)]
    data: DataSpec
    recipe: Annotated[Recipe, closed(Recipe)]
    teacher: TeacherSpec | None = None
    seed: int = Field(default=0, ge=0)
    seeds: int = Field(default=1, ge=1)
    """Trainings of every candidate, from other weights and in another order."""
    device: Literal["cpu", "cuda"] = "cpu"
    processes: int = Field(default=1, ge=1, le=64)
    """That train one network together, each on its part of every batch; with cuda one a GPU."""
    cpu_threads: int | None = Field(default=None, ge=1)
    save_every_seconds: float = Field(default=300, gt=0)
    tensorboard: bool = False

    @model_validator(mode="after")
    def _guided(self) -> FitSpec:
        if self.recipe.hints and self.teacher is None:
            raise SpecError("recipe.hints needs a teacher")
        changing = [n for n in ("augment", "mixup", "cutmix", "hints") if getattr(self.recipe, n)]
        if self.teacher is not None and self.teacher.cache and changing:
            raise SpecError(f"teacher.cache needs recipe.{changing[0]} off")
        return self


def load(path: Path) -> FitSpec:
    """Reads a recipe file.

    Raises:
        SpecError: unreadable, or a field is wrong; one line that names it.
    """
    try:
        data = read(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise SpecError(f"{path}: cannot be read: {reason}") from None
    try:
        return FitSpec.model_validate_json(json.dumps(data))
    except ValidationError as error:
        raise SpecError(f"{path}: {first_error(error, FitSpec)}") from None


def dump(spec: FitSpec) -> str:
    """As `FitSpec.model_validate_json` takes it."""
    plain = spec.model_dump(mode="json")
    plain["network"] = {**asdict(spec.network), "depths": list(spec.network.depths)}
    return json.dumps(plain)
