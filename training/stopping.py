"""Turns SIGTERM into a polite request, so that a training saves before it ends."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def on_sigterm() -> Iterator[Callable[[], bool]]:
    """Yields a function that says whether SIGTERM came; only for the main thread.

    Inside, SIGTERM does nothing but that; afterwards it does what it did before.
    """
    asked = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGTERM, before)
