"""`Outcome` of an evaluation: an estimate, or why there is none. A search outlives what fails.

`Guarded` is picklable where the evaluator is, so that it runs in other processes too.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from search.searcher import Evaluator
from supernet.config import ChannelConfig

_LONGEST = 200
_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one evaluation.

    Attributes:
        estimate: a finite number; None where it failed.
        failure: the reason in one line; None where there is an estimate.
    """

    estimate: float | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Guarded:
    """An evaluator that returns its failures instead of raising them."""

    evaluate: Evaluator

    def __call__(self, config: ChannelConfig) -> Outcome:
        """Only what is no error of the config passes through, such as an interrupt."""
        try:
            estimate = float(self.evaluate(config))
        except Exception as error:
            return Outcome(failure=_reason(error))
        if not math.isfinite(estimate):
            return Outcome(failure=f"an estimate must be finite, but got {estimate}")
        return Outcome(estimate=estimate)


def _reason(error: Exception) -> str:
    """One line that is the same on every run: without the addresses of objects."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return _ADDRESS.sub("0x", text)[:_LONGEST]
