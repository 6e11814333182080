"""`Protocol`: how models are measured; the numbers of `profiler.measure`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

RowMethod = Literal["isolated", "in-context"]
"""A row is a piece in an engine of its own, or what it adds to a chain; see `profiler.rows`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How models are measured.

    Rounds are many and short: what disturbs a shared machine lasts for seconds, so that ten
    rounds of 8 ms say more than five of 16.

    Attributes:
        rounds: passes over all models.
        iterations: least runs of a round.
        round_ms: least length of a round.
        warmup_ms: least warm-up of the device, spent on the sentinel.
        warmup_cap_ms: where that warm-up ends even if it has not settled.
        model_cap_ms: the same for each model, which is warmed up once per session.
        agreement: the last three chunks of a warm-up agree within this.
        tolerance: how far the machine's level may be off its usual during a round that counts.
        sentinel_every: one slot in this many is the sentinel's.
        repeats: how often a disturbed round is measured again, in passes of their own at the end.
        correct: rounds are divided by the machine's level; see `profiler.drift`.
        seed: of the orders.
        rows: how the rows of a table come about.
    """

    rounds: int = 11
    iterations: int = 3
    round_ms: float = 8.0
    warmup_ms: float = 200.0
    warmup_cap_ms: float = 10_000.0
    model_cap_ms: float = 40.0
    agreement: float = 0.01
    tolerance: float = 0.04
    sentinel_every: int = 16
    repeats: int = 3
    correct: bool = True
    seed: int = 0
    rows: RowMethod = "isolated"

    def __post_init__(self) -> None:
        for name, least in (("rounds", 1), ("iterations", 1), ("repeats", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be >= {least}, but got {getattr(self, name)}")
        if self.rows not in get_args(RowMethod):
            choices = " or ".join(get_args(RowMethod))
            raise ValueError(f"rows must be {choices}, but got {self.rows!r}")
        if self.sentinel_every < 2:
            raise ValueError(f"sentinel_every must be >= 2, but got {self.sentinel_every}")
        if self.tolerance <= 0 or self.agreement <= 0:
            raise ValueError(
                "tolerance and agreement must be > 0, "
                f"but got {self.tolerance} and {self.agreement}"
            )
