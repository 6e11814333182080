"""`Submission`: what a job is to the store, a spec nobody looks into and stages in order.

A value, validated at birth. Knows nothing of the database.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from jobs.errors import SubmissionError

Cpu = Literal["slot", "all"]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MOST_STAGES = 100
_MOST_BYTES = 1 << 20


def _named(field: str, value: object) -> None:
    if not (isinstance(value, str) and _NAME.fullmatch(value)):
        raise SubmissionError(
            f"{field} must be 1 to 100 letters, digits, '.', '_' or '-', but got {value!r:.120}"
        )


def _within(field: str, value: object, low: int, high: int) -> None:
    if not (isinstance(value, int) and not isinstance(value, bool) and low <= value <= high):
        raise SubmissionError(f"{field} must be an integer {low} to {high}, but got {value!r:.40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Devices that a stage holds while it runs.

    Attributes:
        cpu: a slot shared with others, or the whole CPU because it is measured.
        gpus: whole GPUs.
    """

    cpu: Cpu = "slot"
    gpus: int = 0

    def __post_init__(self) -> None:
        if self.cpu not in get_args(Cpu):
            raise SubmissionError(f"needs.cpu must be 'slot' or 'all', but got {self.cpu!r}")
        _within("needs.gpus", self.gpus, 0, 64)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRequest:
    """One step of a job.

    Attributes:
        after: earlier stages whose files it reads.
        settings: JSON that decides its result; with the hashes of the files it reads, the key
            under which a finished stage is used again by other jobs.
    """

    name: str
    after: tuple[str, ...] = ()
    settings: Any = None
    needs: Needs = Needs()

    def __post_init__(self) -> None:
        _named("stages.name", self.name)

    def plain(self) -> dict[str, Any]:
        """All of it, for JSON."""
        needs = {"cpu": self.needs.cpu, "gpus": self.needs.gpus}
        return {
            "name": self.name,
            "after": self.after,
            "settings": self.settings,
            "needs": needs,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A job as submitted.

    Attributes:
        spec: JSON text for whoever runs the stages.
        priority: higher goes first; among equals, who came first.
        most_attempts: failures of one stage after which the job has failed.
        digest: tells submissions apart: SHA-256 over everything else in it.
    """

    name: str
    spec: str
    stages: tuple[StageRequest, ...]
    priority: int = 0
    most_attempts: int = 3
    digest: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        _named("name", self.name)
        _within("priority", self.priority, -100, 100)
        _within("most_attempts", self.most_attempts, 1, 100)
        _within("number of stages", len(self.stages), 1, _MOST_STAGES)
        before: set[str] = set()
        for stage in self.stages:
            if stage.name in before:
                raise SubmissionError(f"stages must have different names, but got {stage.name!r}")
            if unknown := sorted(set(stage.after) - before):
                raise SubmissionError(
                    f"stage {stage.name!r} may read only stages before it "
                    f"({', '.join(sorted(before)) or 'none'}), but got {unknown[0]!r}"
                )
            before.add(stage.name)
        canonical = self._canonical()
        _within("bytes of the job", len(canonical), 1, _MOST_BYTES)
        object.__setattr__(self, "digest", hashlib.sha256(canonical).hexdigest())

    def _canonical(self) -> bytes:
        # Not `asdict`, which copies the settings value by value: most of the time of a submission.
        whole = {
            "name": self.name,
            "spec": self.spec,
            "stages": [stage.plain() for stage in self.stages],
            "priority": self.priority,
            "most_attempts": self.most_attempts,
        }
        try:
            return json.dumps(whole, sort_keys=True, allow_nan=False).encode()
        except (TypeError, ValueError) as error:
            raise SubmissionError(f"settings must be JSON, but {error}") from None


def stage_key(stage: str, settings: object, reads: dict[str, dict[str, str]]) -> str:
    """The key of a result: a stage's name, its settings, and the hashes of the files it reads."""
    whole = {"stage": stage, "settings": settings, "reads": reads}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()
