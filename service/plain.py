"""Values as JSON may hold them."""

from __future__ import annotations

import math
from typing import Any


def plain(value: Any) -> Any:
    """`value` with tuples as lists, and None for what is no number."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
