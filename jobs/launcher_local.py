"""Workers as processes of this machine."""

from __future__ import annotations

from subprocess import Popen

from jobs import process
from jobs.devices import Host
from jobs.launcher import Launch, LauncherError


class LocalLauncher:
    """See `Launcher`; the one host is this machine."""

    leaves = False

    def __init__(self, host: Host) -> None:
        self.host = host
        self._children: dict[str, Popen[bytes]] = {}

    def hosts(self) -> list[Host]:
        """This one."""
        return [self.host]

    def start(self, launch: Launch) -> None:
        """Starts a process in a group of its own."""
        environment = {**launch.environment, "CUDA_VISIBLE_DEVICES": ",".join(launch.gpus)}
        try:
            child = process.start(launch.command, launch.attempt, environment, launch.log)
        except OSError as error:
            raise LauncherError(f"the worker cannot start: {error}") from error
        self._children[launch.attempt] = child

    def ended(self, attempt: str) -> int | None:
        """The exit code of a child; others are found by their lease alone."""
        child = self._children.get(attempt)
        code = None if child is None else child.poll()
        if code is not None:
            del self._children[attempt]
        return code

    def alive(self, attempt: str) -> bool:
        """Whether any process carries the attempt's mark."""
        return bool(process.alive(attempt))

    def ask_to_end(self, attempt: str) -> None:
        """Sends SIGTERM."""
        process.ask_to_end(attempt)

    def kill(self, attempt: str) -> bool:
        """Sends SIGKILL until nothing is left."""
        return process.kill(attempt)
