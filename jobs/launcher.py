"""What a scheduler starts workers with: processes of this machine, or jobs of a cluster.

A launcher knows hosts and attempts, and nothing of the store. It may be asked about an attempt that
an earlier one started, and about one that nobody did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from jobs.devices import Host


class LauncherError(RuntimeError):
    """A worker cannot be started; the message says why."""


class AwayError(LauncherError):
    """Nobody answers now; the same call may succeed later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A worker to be started.

    Attributes:
        host: name of the one it was claimed for.
        environment: variables it gets beside those that are there.
        whole_cpu: the host's CPU is its alone.
        gpus: of the host, those that it holds.
        log: a file that both of its outputs are appended to.
        grace_s: seconds between asking it to end and killing it.
    """

    attempt: str
    host: str
    command: Sequence[str]
    environment: Mapping[str, str]
    whole_cpu: bool
    gpus: tuple[str, ...]
    log: Path
    grace_s: float


class Launcher(Protocol):
    """Starts workers on its hosts, watches and ends them.

    Attributes:
        leaves: workers go on when the scheduler ends, and the next one finds them.
    """

    leaves: bool

    def hosts(self) -> list[Host]:
        """What there is now, by name.

        Raises:
            AwayError: nobody answers; what runs is to be left alone.
        """

    def start(self, launch: Launch) -> None:
        """Starts a worker; one that an attempt has already is not started twice.

        Raises:
            LauncherError: it cannot be started.
            AwayError: nobody answers, so it may have started or not.
        """

    def ended(self, attempt: str) -> int | None:
        """Its worker's exit code, below 0 for a signal; None while it runs, or if it is unknown."""

    def alive(self, attempt: str) -> bool:
        """Whether anything of it still runs."""

    def ask_to_end(self, attempt: str) -> None:
        """Tells its worker to save its state and end, without waiting for it."""

    def kill(self, attempt: str) -> bool:
        """Ends all of it at once; whether nothing is left."""
