"""The plots of `search.plots` as PNG files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from latency_tables.drawing_png_roof import BLUE, GREY, RED, save

Points = Sequence[tuple[float, float]]


def front(points: Points, best: Points, metric: str, limit: float | None, path: Path) -> None:
    """Estimates against a cost, with the front as a staircase and the limit."""
    figure, axes = _canvas(8.0, 5.5)
    axes.plot(*zip(*points, strict=True), ".", color=GREY, alpha=0.5, label="scored")
    axes.step(*zip(*best, strict=True), where="post", color=BLUE)
    axes.plot(*zip(*best, strict=True), "o", color=BLUE, markersize=5, label="front")
    if limit is not None:
        axes.axvline(limit, color=RED, linestyle="--", linewidth=1, label="limit")
    axes.set_xlabel(metric)
    axes.set_ylabel("estimate")
    axes.legend()
    save(figure, path)


def parallel(
    genes: Sequence[tuple[str, Sequence[float]]], estimates: Sequence[float], path: Path
) -> None:
    """A line per config over all genes, coloured by its estimate; the last lie on top."""
    figure, axes = _canvas(0.45 * len(genes) + 3, 5.5)
    colours = matplotlib.colormaps["viridis"]
    norm = Normalize(min(estimates), max(estimates))
    for line, estimate in zip(zip(*(v for _, v in genes), strict=True), estimates, strict=True):
        axes.plot(line, color=colours(norm(estimate)), alpha=0.4, linewidth=0.8)
    axes.set_xticks(range(len(genes)), [name for name, _ in genes], rotation=90)
    axes.set_ylabel("width, as a share of the largest")
    figure.colorbar(ScalarMappable(norm, colours), ax=axes, label="estimate")
    save(figure, path)


def widths(layers: Sequence[str], lines: Mapping[str, Sequence[int]], path: Path) -> None:
    """Output widths of every convolution; the first line is the dense network's."""
    figure, axes = _canvas(0.22 * len(layers) + 3, 5.5)
    for number, (label, values) in enumerate(lines.items()):
        style = {"color": GREY, "linestyle": ":"} if number == 0 else {"alpha": 0.8}
        axes.step(range(len(values)), values, where="mid", label=label, **style)
    axes.set_xticks(range(len(layers)), layers, rotation=90, fontsize=7)
    axes.set_yscale("symlog", linthresh=8)
    axes.set_ylabel("channels")
    axes.legend(fontsize=8)
    save(figure, path)


def progress(estimates: Sequence[float | None], best: Sequence[float], path: Path) -> None:
    """Each evaluation and the best so far; failed evaluations are marked on the axis."""
    figure, axes = _canvas(8.0, 5.0)
    found = [(n, e) for n, e in enumerate(estimates, 1) if e is not None]
    axes.plot(*zip(*found, strict=True), ".", color=GREY, alpha=0.5, label="scored")
    axes.step(range(1, len(best) + 1), best, where="post", color=BLUE, label="best so far")
    if failed := [n for n, e in enumerate(estimates, 1) if e is None]:
        low = min(e for _, e in found)
        axes.plot(failed, [low] * len(failed), "x", color=RED, label="failed")
    axes.set_xlabel("evaluations")
    axes.set_ylabel("estimate")
    axes.legend()
    save(figure, path)


def importance(
    names: Sequence[str],
    alone: Sequence[float],
    pairs: Sequence[float],
    note: str,
    path: Path,
) -> None:
    """Shares of the explained variance, the largest on top."""
    figure, axes = _canvas(7.5, 0.24 * len(names) + 1.6)
    places = range(len(names))[::-1]
    axes.barh(places, alone, color=BLUE, label="alone")
    axes.barh(places, pairs, left=alone, color=GREY, label="in pairs with others")
    axes.set_yticks(places, names, fontsize=8)
    axes.set_xlabel(f"share of the explained variance\n{note}")
    axes.legend()
    save(figure, path)


def _canvas(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained", dpi=120)
    axes = figure.subplots()
    axes.grid(alpha=0.25)
    return figure, axes
