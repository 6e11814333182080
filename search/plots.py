"""Plots of a search: its front, all its configs, widths by layer, progress, which genes matter.

`.png` is drawn by matplotlib, `.html` by plotly as one file that needs no network connection.
What is drawn lives in `search.drawing_png` and `search.drawing_html`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from search.importance import importance
from search.problem import SearchError
from search.searcher import Candidate
from search.stored import Stored
from search.views import layer_names, layer_widths, running_best

FORMATS = (".html", ".png")
_SHOWN = 5  # configs of the front whose widths are drawn
_LINES = 400  # of parallel coordinates; more would be one grey area


def plot(stored: Stored, what: str, path: Path, metric: str | None = None) -> None:
    """Draws one of `KINDS`.

    Args:
        metric: cost of the front and of the configs on it; see `Stored.metric`.

    Raises:
        SearchError: another kind, suffix or metric, or too little to draw.
    """
    if what not in KINDS:
        raise SearchError(f"a plot shows one of {', '.join(KINDS)}, but got {what!r}")
    if path.suffix not in FORMATS:
        raise SearchError(f"a plot is {' or '.join(FORMATS)}, but got {path.name!r}")
    if not stored.history.scored:
        raise SearchError(f"{stored.name}: nothing was scored, so there is nothing to draw")
    drawing: Any
    if path.suffix == ".png":
        from search import drawing_png as drawing
    else:
        from search import drawing_html as drawing
    KINDS[what](stored, stored.metric(metric), drawing, path)


def _front(stored: Stored, metric: str, drawing: Any, path: Path) -> None:
    history = stored.history
    drawing.front(
        [(c.costs[metric], c.estimate) for c in history.scored],
        [(c.costs[metric], c.estimate) for c in reversed(history.front(metric))],
        metric,
        stored.limits.get(metric),
        path,
    )


def _parallel(stored: Stored, metric: str, drawing: Any, path: Path) -> None:
    """Best last, so that they are drawn over the others."""
    chosen = sorted(stored.history.scored, key=lambda c: c.estimate or 0.0)
    step = max(1, len(chosen) // _LINES)
    chosen = chosen[::-1][::step][::-1]
    genes = stored.space.genes([c.config for c in chosen])
    dense = stored.space.genes([stored.space.largest()])[0]
    axes = [
        (name, [w / top for w in column])
        for name, column, top in zip(
            stored.space.names, genes.T.tolist(), dense.tolist(), strict=True
        )
    ]
    drawing.parallel(axes, [c.estimate for c in chosen], path)


def _widths(stored: Stored, metric: str, drawing: Any, path: Path) -> None:
    network = stored.space.network
    lines = {"dense": layer_widths(network, network.dense())}
    for number, candidate in enumerate(stored.history.front(metric)[:_SHOWN], 1):
        label = f"front {number}: {_figures(candidate, metric)}"
        lines[label] = layer_widths(network, candidate.config)
    drawing.widths(layer_names(network), lines, path)


def _progress(stored: Stored, metric: str, drawing: Any, path: Path) -> None:
    evaluated = [c for c in stored.history.candidates if c.estimate is not None or c.failure]
    drawing.progress([c.estimate for c in evaluated], running_best(evaluated), path)


def _importance(stored: Stored, metric: str, drawing: Any, path: Path) -> None:
    found = importance(stored.space, stored.history)
    total = found.total
    drawing.importance(
        list(total),
        [found.alone[name] for name in total],
        [found.pairs[name] for name in total],
        f"error of the explanation at left-out configs: {found.error:.0%} of the deviation",
        path,
    )


def _figures(candidate: Candidate, metric: str) -> str:
    return f"estimate {candidate.estimate:.4g}, {metric} {candidate.costs[metric]:.4g}"


KINDS: dict[str, Callable[[Stored, str, Any, Path], None]] = {
    "front": _front,
    "parallel": _parallel,
    "widths": _widths,
    "progress": _progress,
    "importance": _importance,
}
