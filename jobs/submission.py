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
_JSON = json.JSONEncoder(sort_keys=True, allow_nan=False)
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
        device: class of hosts that may run it, as `a100`; any host if None.
        hosts: hosts that run it together; the devices are needed on each of them.
        elastic: a host that is lost is replaced while the others go on; otherwise the stage begins
            again with as many as it needs.
    """

    cpu: Cpu = "slot"
    gpus: int = 0
    device: str | None = None
    hosts: int = 1
    elastic: bool = False

    def __post_init__(self) -> None:
        if self.cpu not in get_args(Cpu):
            raise SubmissionError(f"needs.cpu must be 'slot' or 'all', but got {self.cpu!r}")
        _within("needs.gpus", self.gpus, 0, 64)
        if self.device is not None:
            _named("needs.device", self.device)
        _within("needs.hosts", self.hosts, 1, 256)

    def canonical(self) -> str:
        """As JSON text with sorted keys; what is as usual is left out where it came later."""
        device = "" if self.device is None else f'"device": "{self.device}", '
        elastic = '"elastic": true, ' if self.elastic else ""
        hosts = "" if self.hosts == 1 else f', "hosts": {self.hosts}'
        return f'{{"cpu": "{self.cpu}", {device}{elastic}"gpus": {self.gpus}{hosts}}}'


@dataclass(frozen=True, slots=True, kw_only=True)
class StageRequest:
    """One step of a job.

    Attributes:
        after: earlier stages whose files it reads.
        settings: JSON that decides its result; with the hashes of the files it reads, the key
            under which a finished stage is used again by other jobs.
        text: the settings as JSON text, written once for all who need it.
    """

    name: str
    after: tuple[str, ...] = ()
    settings: Any = None
    needs: Needs = Needs()
    text: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        _named("stages.name", self.name)
        object.__setattr__(self, "text", _text(self.settings))

    def canonical(self) -> str:
        """All of it as JSON text with sorted keys."""
        return (
            f'{{"after": {json.dumps(self.after)}, "name": "{self.name}", '
            f'"needs": {self.needs.canonical()}, "settings": {self.text}}}'
        )


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
        # The text of `json.dumps(..., sort_keys=True)`, put together from that of the settings,
        # which are nearly all of it: their JSON was most of the time of a submission.
        stages = ", ".join(stage.canonical() for stage in self.stages)
        return (
            f'{{"most_attempts": {self.most_attempts}, "name": "{self.name}", '
            f'"priority": {self.priority}, "spec": {json.dumps(self.spec)}, '
            f'"stages": [{stages}]}}'
        ).encode()


def _text(settings: object) -> str:
    try:
        return _JSON.encode(settings)
    except (TypeError, ValueError) as error:
        raise SubmissionError(f"settings must be JSON, but {error}") from None


def stage_key(stage: str, settings: object, reads: dict[str, dict[str, str]]) -> str:
    """The key of a result: a stage's name, its settings, and the hashes of the files it reads."""
    whole = {"stage": stage, "settings": settings, "reads": reads}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()
