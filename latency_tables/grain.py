"""`Grain`: the channel counts that a runtime's convolutions are made of, as its rows show them.

Runtimes compute channels in groups, and choose another implementation where the input channels do
not divide. Which groups is decided by cross-validation over measured rows, never assumed.
Knows nothing of hardware.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

ALIGNMENTS = (1, 2, 4, 8, 16, 32)
GROUPS = (1, 4, 8, 16, 32, 64)
FACTORS = (1, 2, 4)
CACHES = (0, *(1 << power for power in range(14, 22)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Grain:
    """How widths are rounded.

    Attributes:
        align: input channels that are no multiple of this take another implementation; 1: all do
            alike.
        narrow: fewer input channels than this do not, whatever their number.
        group: channels are computed in groups of this.
        batch: and groups of outputs together, so many channels at once; a multiple of `group`.
        cache: maps of more elements than this in and out of a layer cost more; 0: no such limit.
    """

    align: int = 1
    narrow: int = 1
    group: int = 1
    batch: int = 1
    cache: int = 0

    def __post_init__(self) -> None:
        sizes = (self.align, self.narrow, self.group, self.batch)
        if min(sizes) < 1 or self.batch % self.group or self.cache < 0:
            raise ValueError(
                "align, narrow, group and batch must be >= 1, batch a multiple of group, and "
                f"cache >= 0, got {sizes} and {self.cache}"
            )


def search(error: Callable[[Grain], float], worth: float = 0.02) -> Grain:
    """The grain with the least error, found one attribute at a time; the simplest among equals.

    Args:
        error: of a model with this grain, such as the mean cross-validation error.
        worth: a grain must lower the error by this share to replace a simpler one.
    """
    best, least = Grain(), error(Grain())
    for _ in range(2):
        before = best
        for other in _neighbours(best):
            found = error(other)
            if found < least * (1 - worth):
                best, least = other, found
        for moves in (_groups, _aligns, _narrows, _batches, _caches):
            for other in moves(best):
                found = error(other)
                if found < least * (1 - worth):
                    best, least = other, found
        if best == before:
            break
    return best


def aligned(grain: Grain) -> Iterator[Grain]:
    """The same groups, with input channels that have to be aligned."""
    for align in dict.fromkeys((4, max(4, grain.group))):
        for narrow in dict.fromkeys((1, grain.group)):
            yield replace(grain, align=align, narrow=narrow)


def _neighbours(grain: Grain) -> Iterator[Grain]:
    """Group and alignment together: each alone may hide behind the other."""
    for group in (8, 16, 32):
        for align in (1, 4, group):
            yield Grain(align=align, narrow=group, group=group, batch=group)


def _groups(grain: Grain) -> Iterator[Grain]:
    yield from (replace(grain, group=group, batch=group) for group in GROUPS)


def _aligns(grain: Grain) -> Iterator[Grain]:
    yield from (replace(grain, align=align) for align in ALIGNMENTS)


def _narrows(grain: Grain) -> Iterator[Grain]:
    yield from (replace(grain, narrow=narrow) for narrow in (1, grain.group))


def _caches(grain: Grain) -> Iterator[Grain]:
    yield from (replace(grain, cache=cache) for cache in CACHES)


def _batches(grain: Grain) -> Iterator[Grain]:
    yield from (replace(grain, batch=grain.group * factor) for factor in FACTORS)
