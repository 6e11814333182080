"""What requests carry. Unknown keys are refused; depth and length are limited by the parser."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Header
from pydantic import BaseModel, ConfigDict, Field

from service.presets import changed
from service.spec import JobSpec, SpecError, from_data

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        max_length=200,
        description="The same key with the same body is the same job, however often it is sent.",
    ),
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class SpecBody(_Body):
    """A job: `spec`, or `preset` with `changes` to it."""

    spec: dict[str, Any] | None = None
    preset: Annotated[str | None, Field(max_length=100)] = None
    changes: dict[str, Any] = Field(default_factory=dict)
    until: Annotated[str | None, Field(max_length=100)] = None

    def parsed(self) -> JobSpec:
        """The job that is meant.

        Raises:
            SpecError: neither or both are given, or the job is wrong.
        """
        if (self.spec is None) == (self.preset is None):
            raise SpecError("a job needs either spec or preset, and not both")
        if self.spec is not None:
            if self.changes:
                raise SpecError("changes go with a preset, not with spec")
            return from_data(self.spec)
        return changed(str(self.preset), self.changes)


class SubmitBody(SpecBody):
    """A job to be run."""

    priority: Annotated[int, Field(ge=-100, le=100)] = 0


class TrainBody(_Body):
    """Candidates to be trained."""

    candidates: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=100)]],
        Field(min_length=1, max_length=16),
    ]
    priority: Annotated[int, Field(ge=-100, le=100)] = 0


class PriorityBody(_Body):
    """Another priority."""

    priority: Annotated[int, Field(ge=-100, le=100)]
