"""How a scheduler runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_BEATS = 2.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a scheduler runs.

    Attributes:
        command: what starts a worker; the attempt's id and fencing number are appended.
        environment: variables that workers get beside those of this process.
        heartbeat_s: seconds between a worker's heartbeats. A lease lasts two and a half, so with
            the reaper's turn a dead worker's job is queued again within three.
        tick_s: seconds between two looks at the database.
        start_s: seconds that a worker may take to come up.
        grace_s: seconds between asking a worker to end and killing it.
    """

    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    heartbeat_s: float = 4.0
    start_s: float = 30.0
    tick_s: float = 0.25
    grace_s: float = 8.0

    @property
    def lasts_s(self) -> float:
        """Seconds that a lease lasts without a heartbeat."""
        return _BEATS * self.heartbeat_s
