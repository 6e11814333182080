"""All processes of an attempt as one: its worker, and its members on further hosts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jobs.claim import Claim, Member
from jobs.devices import Host
from jobs.launcher import Launch, Launcher
from jobs.lease import Lease
from jobs.logs import Logs
from jobs.members import process_id
from jobs.settings import Settings
from jobs.variables import ADDRESS


class Crew:
    """Starts and ends them through a launcher.

    Attributes:
        addresses: of the hosts, by name.
    """

    def __init__(self, launcher: Launcher, logs: Logs, settings: Settings) -> None:
        self.launcher = launcher
        self.logs = logs
        self.settings = settings
        self.addresses: dict[str, str] = {}
        self._others: dict[str, list[str]] = {}

    def know(self, attempt: str, others: Sequence[Member]) -> None:
        """The members that an attempt has now, whoever started them."""
        if others or attempt in self._others:
            self._others[attempt] = [process_id(attempt, one.number) for one in others]

    def look_around(self) -> list[Host]:
        """The hosts that there are.

        Raises:
            AwayError: see `Launcher.hosts`.
        """
        hosts = self.launcher.hosts()
        self.addresses = {host.name: host.address for host in hosts}
        return hosts

    def start(self, found: Claim) -> None:
        """Starts all of a claim.

        Raises:
            LauncherError, AwayError: see `Launcher.start`; what was started runs.
        """
        for member in found.members:
            self.join(found.lease, member, found.whole_cpu)

    def join(self, lease: Lease, member: Member, whole_cpu: bool) -> None:
        """Starts one of them."""
        name, settings = process_id(lease.attempt, member.number), self.settings
        numbered = [str(member.number)] if member.number else []
        address = {ADDRESS: self.addresses.get(member.host, "127.0.0.1")}
        launch = Launch(
            attempt=name,
            host=member.host,
            command=[*settings.command, lease.attempt, str(lease.fencing), *numbered],
            environment={**settings.environment, **address},
            whole_cpu=whole_cpu,
            gpus=member.gpus,
            log=self.logs.path(name),
            grace_s=settings.grace_s,
        )
        launch.log.parent.mkdir(parents=True, exist_ok=True)
        if member.number:
            self._others.setdefault(lease.attempt, []).append(name)
        self.launcher.start(launch)

    def ask_to_end(self, attempt: str) -> None:
        """Tells all to save and end."""
        for name in self._names(attempt):
            self.launcher.ask_to_end(name)

    def alive(self, attempt: str) -> bool:
        """Whether any still runs."""
        return any(self.launcher.alive(name) for name in self._names(attempt))

    def kill(self, attempt: str) -> bool:
        """Ends all at once; whether none is left."""
        left = [name for name in self._names(attempt) if not self.launcher.kill(name)]
        return not left

    def forget(self, attempt: str) -> None:
        """Does not watch them any more."""
        for name in self._names(attempt):
            self.launcher.ended(name)
        self._others.pop(attempt, None)

    def ended(self, attempt: str, others: Sequence[Member]) -> Iterator[tuple[Member, int]]:
        """Members that ended, with their exit codes, as `Launcher.ended` has them."""
        for member in others:
            name = process_id(attempt, member.number)
            code = self.launcher.ended(name)
            self.logs.trim(name)
            if code is not None:
                yield member, code

    def _names(self, attempt: str) -> list[str]:
        return [attempt, *self._others.get(attempt, ())]
