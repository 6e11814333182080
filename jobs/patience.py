"""Waiting for a database that is away."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from jobs.errors import StoreUnavailableError

_PATIENCE_S = 600.0
_RETRY_S = 0.2

T = TypeVar("T")


def patiently(call: Callable[[], T]) -> T:
    """Calls again while the database is away, for ten minutes."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return call()
        except StoreUnavailableError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_RETRY_S)
