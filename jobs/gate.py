"""A fair gate: so many threads at once, the others in the order they came.

Python's locks and SQLite's waiting let late comers pass, so under load some wait many times as
long as others. Knows nothing of databases.
"""

from __future__ import annotations

import threading
from collections import deque


class Gate:
    """Used with `with`; has `places` places."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._queue: deque[threading.Lock] = deque()
        self._mutex = threading.Lock()

    def __enter__(self) -> None:
        with self._mutex:
            if self._free:
                self._free -= 1
                return
            turn = threading.Lock()
            turn.acquire()
            self._queue.append(turn)
        try:
            turn.acquire()
        except BaseException:  # A signal's exception while waiting: step out of the queue.
            with self._mutex:
                waiting = turn in self._queue
                if waiting:
                    self._queue.remove(turn)
            if not waiting:
                self.__exit__()
            raise

    def __exit__(self, *error: object) -> None:
        with self._mutex:
            if self._queue:
                self._queue.popleft().release()
            else:
                self._free += 1
