"""Measuring on, when some models take the measuring process down with them.

What breaks a process or its CUDA context once may have been chance: it is tried again in a fresh
one. What breaks it again and again is looked for by halves, and left out, so that nothing else is
lost. Knows nothing of models and tables.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from profiler.backend import BrokenError, OutOfMemoryError

Item = TypeVar("Item")
Found = TypeVar("Found")

ATTEMPTS = 3
"""Fresh processes that a session may break before some of its models are to blame."""


@dataclass(frozen=True, slots=True)
class Lost(Generic[Item]):
    """An item that cannot be measured, and what its last attempt ended with."""

    item: Item
    reason: str


def persistently(work: Callable[[], Found]) -> Found:
    """What `work` gives; it is called again while it breaks its process, `ATTEMPTS` times at most.

    Raises:
        BrokenError: the last attempt's.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return work()
        except BrokenError:
            pass
    return work()


def surely(
    items: Sequence[Item], run: Callable[[Sequence[Item]], object], probe: Callable[[], object]
) -> list[Lost[Item]]:
    """Runs all items, together if that is possible; gives those that are not.

    Args:
        run: measures some of the items and keeps what it finds; nothing of those that it breaks on.
        probe: measures something harmless, which tells a broken device from a guilty item.

    Raises:
        BrokenError: `probe` breaks too.
    """
    try:
        persistently(lambda: run(items))
    except (BrokenError, OutOfMemoryError) as error:
        reason = str(error)
    else:
        return []
    persistently(probe)
    return _by_halves(items, run, reason)


def _by_halves(
    items: Sequence[Item], run: Callable[[Sequence[Item]], object], reason: str
) -> list[Lost[Item]]:
    """The guilty among items that broke a process together."""
    if len(items) == 1:
        return [Lost(items[0], reason)]
    lost: list[Lost[Item]] = []
    middle = len(items) // 2
    for half in (items[:middle], items[middle:]):
        work = partial(run, half)
        try:
            # alone it gets all attempts before it is left out; several are only split further
            persistently(work) if len(half) == 1 else work()
        except (BrokenError, OutOfMemoryError) as error:
            lost += _by_halves(half, run, str(error))
    return lost
