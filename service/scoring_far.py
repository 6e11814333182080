"""Scoring on several hosts: the worker's side. Who scores what changes nothing of what comes out.

Processes of members come and go by a connection each, authenticated by a key that the store tells
them. A config goes to whoever is free; what a lost one was busy with is scored again by another.
Messages are JSON, and no process is taken in that would compute otherwise than this one.
"""

from __future__ import annotations

import json
import secrets
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from typing import Any, NamedTuple

from search.scoring import Outcome
from service.console import say
from service.store import RunError
from supernet.config import ChannelConfig

Score = Callable[[ChannelConfig], Outcome]

_PATIENCE_S = 60.0
"""Seconds after which a score that is waited for is asked of another, too."""


class _Task(NamedTuple):
    round: int
    number: int
    config: ChannelConfig


class Far:
    """Members' processes that score, inside `with`.

    Args:
        address: of this host, which members reach.
        alike: what decides scores here; members must say the same.
    """

    def __init__(self, address: str, alike: object) -> None:
        self.key = secrets.token_bytes(32)
        self._alike = json.loads(json.dumps(alike))
        self._server = socket.create_server((address, 0))
        self._changed = threading.Condition()
        self._todo: deque[_Task] = deque()
        self._round = 0
        self._outcomes: dict[int, Outcome] = {}
        self._over = False
        self._broken: Exception | None = None
        self._links: set[Connection[Any, Any]] = set()

    @property
    def place(self) -> dict[str, Any]:
        """Where members find this, and the key."""
        address, port = self._server.getsockname()[:2]
        return {"address": address, "port": port, "key": self.key.hex()}

    def __enter__(self) -> Far:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._over = True
            self._changed.notify_all()
        # Without this the thread that accepts would not wake.
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for link in list(self._links):
            with suppress(OSError):
                link.close()

    def outcomes(
        self, configs: Sequence[ChannelConfig], here: Score | None, pool: Sequence[Score]
    ) -> Iterator[Outcome]:
        """Outcomes in the order of the configs.

        Args:
            here: scores in the calling thread.
            pool: what else of this host scores, each by a thread that only waits for it.

        Raises:
            Exception: what one of the pool raised, as when its process died.
        """
        with self._changed:
            self._round += 1
            self._outcomes = {}
            tasks = [_Task(self._round, *one) for one in enumerate(configs)]
            self._todo = deque(tasks)
            self._changed.notify_all()
        seats = [threading.Thread(target=self._seat, args=(score,), daemon=True) for score in pool]
        for seat in seats:
            seat.start()
        for task in tasks:
            while task.number not in self._outcomes:
                self._help_or_wait(task, here)
            yield self._outcomes[task.number]
        with self._changed:
            self._round += 1  # seats end
            self._changed.notify_all()

    def _help_or_wait(self, task: _Task, here: Score | None) -> None:
        if here is not None and (mine := self._take(wait=False)) is not None:
            self._give(mine, here(mine.config))
            return
        with self._changed:
            # A config may have come back from one that is lost: then it is done here.
            answered = self._changed.wait_for(
                lambda: (
                    task.number in self._outcomes
                    or self._broken is not None
                    or (here is not None and bool(self._todo))
                ),
                timeout=_PATIENCE_S,
            )
            if self._broken is not None:
                raise self._broken
            if not answered and not self._todo:
                # Whoever has it may be stopped, or cut off: the score is the same from another.
                self._todo.append(task)
                self._changed.notify_all()

    def _take(self, *, wait: bool, within: int | None = None) -> _Task | None:
        """The next task; None where there is none now, no more, or no more of a round."""
        with self._changed:
            while not self._todo:
                if self._over or not wait or within not in (None, self._round):
                    return None
                self._changed.wait()
            return self._todo.popleft()

    def _give(self, task: _Task, outcome: Outcome) -> None:
        with self._changed:
            if task.round == self._round:
                self._outcomes.setdefault(task.number, outcome)
                self._changed.notify_all()

    def _seat(self, score: Score) -> None:
        """Works until the round is over."""
        within = self._round
        try:
            while (task := self._take(wait=True, within=within)) is not None:
                self._give(task, score(task.config))
        except Exception as error:
            with self._changed:
                self._broken = error
                self._changed.notify_all()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            link: Connection[Any, Any] = Connection(client.detach())
            threading.Thread(target=self._serve, args=(link,), daemon=True).start()

    def _serve(self, link: Connection[Any, Any]) -> None:
        self._links.add(link)
        task: _Task | None = None
        try:
            deliver_challenge(link, self.key)
            answer_challenge(link, self.key)
            same = self._same(_said(link))
            _say(link, same)
            if not same:
                return
            while (task := self._take(wait=True)) is not None:
                _say(link, task.config.to_json())
                self._give(task, Outcome(**_said(link)))
                task = None
        except (OSError, EOFError, AuthenticationError, ValueError, TypeError):
            self._again(task)
        finally:
            self._links.discard(link)
            link.close()

    def _same(self, theirs: object) -> bool:
        if theirs == self._alike:
            return True
        say(f"  a member would score otherwise and is sent away: {theirs} instead of {self._alike}")
        return False

    def _again(self, task: _Task | None) -> None:
        """What a lost process was busy with is the next to be done."""
        with self._changed:
            if task is not None and task.round == self._round:
                self._todo.appendleft(task)
                self._changed.notify_all()


def _say(link: Connection[Any, Any], value: object) -> None:
    link.send_bytes(json.dumps(value).encode())


def _said(link: Connection[Any, Any]) -> Any:
    return json.loads(link.recv_bytes(1 << 20))


def serve(place: dict[str, Any], alike: object, score: Score) -> None:
    """The member's side of one process: scores until the worker has no more.

    Raises:
        OSError, AuthenticationError: the worker cannot be reached, or has another key.
        RunError: it computes otherwise, and takes no scores from here.
    """
    link: Connection[Any, Any] = Connection(
        socket.create_connection((place["address"], place["port"])).detach()
    )
    key = bytes.fromhex(place["key"])
    with link:
        answer_challenge(link, key)
        deliver_challenge(link, key)
        _say(link, alike)
        if not _said(link):
            raise RunError(f"the search computes otherwise than this host, which has {alike}")
        while True:
            try:
                config = ChannelConfig.from_json(_said(link))
            except (EOFError, ConnectionResetError):
                return
            outcome = score(config)
            _say(link, {"estimate": outcome.estimate, "failure": outcome.failure})
