"""Peak and bandwidth, of simulated devices whose both are known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from latency_tables.table import Target
from profiler.backend import Backend, OutOfMemoryError, Runner
from profiler.roofline import ELEMENTS, SIDES, roof

TARGET = Target(device="d", runtime="r", runtime_version="1", precision="fp16", batch=1, threads=1)


@dataclass
class Simulated:
    """A device with a start of 5 µs a run, caches of some size, and a peak.

    Attributes:
        most: elements that fit its memory.
    """

    gmacs: float
    gbytes: float
    cache_bytes: float = 0.0
    most: int = 1 << 40
    asked: list[int] = field(default_factory=list)

    def gemm(self, side: int, target: Target) -> Runner:
        self.asked.append(side)
        return lambda n: 0.005 + side**3 / self.gmacs / 1e6

    def copy(self, elements: int, target: Target) -> Runner:
        self.asked.append(elements)
        if elements > self.most:
            raise OutOfMemoryError("no room")
        moved = 4 * elements
        speed = self.gbytes * (3 if moved < self.cache_bytes else 1)
        return lambda n: 0.005 + moved / speed / 1e6

    def roof(self) -> Any:
        return roof(cast(Backend, self), TARGET)


@pytest.mark.parametrize(
    ("gmacs", "gbytes", "cache"),
    [(40.0, 9.0, 0.0), (900.0, 80.0, 3e7), (30_000.0, 300.0, 4e6), (450_000.0, 3000.0, 1e8)],
    ids=["core", "server", "T4", "H100"],
)
def test_small_and_large_devices_reach_their_roof(
    gmacs: float, gbytes: float, cache: float
) -> None:
    found = Simulated(gmacs, gbytes, cache).roof()
    assert found.gmacs == pytest.approx(gmacs, rel=0.05)
    assert found.gbytes == pytest.approx(gbytes, rel=0.05)


def test_a_core_is_not_kept_busy_with_products_for_gpus() -> None:
    core = Simulated(40.0, 9.0)
    core.roof()
    assert max(side for side in core.asked if side in SIDES) == 1024
    assert core.asked[-1] == ELEMENTS[0]


def test_what_finds_no_memory_ends_the_growth_unless_nothing_does() -> None:
    found = Simulated(450_000.0, 3000.0, most=ELEMENTS[0]).roof()
    assert found.gbytes == pytest.approx(3000, rel=0.2)
    with pytest.raises(OutOfMemoryError):
        Simulated(450_000.0, 3000.0, most=1).roof()
