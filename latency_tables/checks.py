"""Type checks for values read from a file; each returns the value or raises ValueError."""

from __future__ import annotations

import math
from typing import Any


def whole(name: str, value: object, most: int) -> int:
    """A whole number in 1..most."""
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most:
        return value
    raise ValueError(f"{name} must be a whole number in 1..{most}, got {_short(value)}")


def latency(name: str, value: object) -> float:
    """A finite number > 0, in ms."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
        if math.isfinite(number) and number > 0:
            return number
    raise ValueError(f"{name} must be a finite latency > 0 ms, got {_short(value)}")


def text(name: str, value: object) -> str:
    """A string."""
    if isinstance(value, str):
        return value
    raise ValueError(f"{name} must be a string, got {_short(value)}")


def array(name: str, value: object) -> list[Any]:
    """A JSON array."""
    if isinstance(value, list):
        return value
    raise ValueError(f"{name} must be an array, got {_short(value)}")


def mapping(name: str, value: object) -> dict[str, Any]:
    """A JSON object."""
    if isinstance(value, dict):
        return value
    raise ValueError(f"{name} must be an object, got {_short(value)}")


def _short(value: object) -> str:
    return repr(value)[:60]
