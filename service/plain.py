"""Values as JSON may hold them."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import asdict
from functools import lru_cache
from typing import Any


@lru_cache(maxsize=256)
def fields(value: Hashable) -> dict[str, Any]:
    """A frozen dataclass as `asdict` has it, made once for equal ones: only to be read."""
    found: dict[str, Any] = asdict(value)  # type: ignore[call-overload]
    return found


def plain(value: Any) -> Any:
    """`value` with tuples as lists, and None for what is no number."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
