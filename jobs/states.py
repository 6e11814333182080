"""The states of jobs, stages and attempts, and which of them are an end.

A job is `running` exactly while an attempt holds its lease; between two stages it is `queued`.
"""

from __future__ import annotations

from typing import Literal

JobState = Literal["queued", "running", "paused", "succeeded", "failed", "cancelled"]
Wanted = Literal["run", "pause", "cancel"]
StageState = Literal["waiting", "running", "done", "failed"]
AttemptState = Literal["claimed", "running", "done", "failed", "lost", "interrupted"]

OPEN: tuple[JobState, ...] = ("queued", "running", "paused")
ENDED: tuple[JobState, ...] = ("succeeded", "failed", "cancelled")
