"""Kinds of weight sources by name, for those who start without torch."""

from __future__ import annotations

from typing import Literal, get_args

Kind = Literal["sliced", "pruningnet"]
KINDS: tuple[Kind, ...] = get_args(Kind)
