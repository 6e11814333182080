"""A matrix product in tiles and waves: which tile a library would take, and how long it computes.

A kernel cuts the output [m, n] into tiles, one per multiprocessor at a time; the tiles of one wave
run side by side, and a last wave that is nearly empty takes as long as a full one (NVIDIA, "Matrix
Multiplication Background User's Guide", sections on tile and wave quantisation). Products are not
split along k. Knows nothing of convolutions and memory.
"""

from __future__ import annotations

from dataclasses import dataclass

from profiler.modelled.gpus import Gpu


@dataclass(frozen=True, slots=True)
class Gemm:
    """Output [m, n], summed over k."""

    m: int
    n: int
    k: int

    @property
    def macs(self) -> int:
        """Multiply-adds."""
        return self.m * self.n * self.k


@dataclass(frozen=True, slots=True)
class Tile:
    """Rows and columns of the output that one multiprocessor computes at once."""

    rows: int
    columns: int

    def __str__(self) -> str:
        return f"{self.rows}x{self.columns}"

    @property
    def efficiency(self) -> float:
        """Share of the peak that a multiprocessor reaches inside a tile.

        Assumed, not published. Per step of k a tile loads rows + columns operands for rows *
        columns multiply-adds; loads are taken to cost as much as `LOAD` multiply-adds each, so that
        larger tiles are better, in the order that the guide gives.
        """
        area = self.rows * self.columns
        return area / (area + LOAD * (self.rows + self.columns))


LOAD = 16
TILES = tuple(
    Tile(rows, columns)
    for rows, columns in (
        (256, 128), (128, 256), (128, 128), (256, 64), (64, 256), (128, 64), (64, 128), (64, 64)
    )
)  # fmt: skip
"""Sizes that the guide lists for cuBLAS, the most efficient first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a product is computed.

    Attributes:
        waves: passes over the multiprocessors.
        full: share of their places, over all waves, that hold a tile.
        compute_us: time of the arithmetic alone.
    """

    tile: Tile
    waves: int
    full: float
    compute_us: float


def tiles(gemm: Gemm, tile: Tile) -> int:
    """Tiles that cover the output."""
    return -(-gemm.m // tile.rows) * -(-gemm.n // tile.columns)


def waves(gemm: Gemm, tile: Tile, sms: int, occupancy: int = 1) -> int:
    """Passes over the multiprocessors, each of which holds `occupancy` tiles at a time."""
    return -(-tiles(gemm, tile) // (sms * occupancy))


def planned(gemm: Gemm, tile: Tile, gpu: Gpu, precision: str) -> Plan:
    """The product in tiles of this size.

    One tile a multiprocessor: more would share its arithmetic units, and hide latency at best.
    """
    found = waves(gemm, tile, gpu.sms)
    steps = found * tile.rows * tile.columns * gemm.k
    return Plan(
        tile=tile,
        waves=found,
        full=tiles(gemm, tile) / (found * gpu.sms),
        compute_us=steps / (gpu.macs_per_us(precision) * tile.efficiency),
    )


def best(gemm: Gemm, gpu: Gpu, precision: str) -> Plan:
    """The product as a library's heuristics would compute it: in the fastest of `TILES`."""
    plans = (planned(gemm, tile, gpu, precision) for tile in TILES)
    return min(plans, key=lambda plan: plan.compute_us)
