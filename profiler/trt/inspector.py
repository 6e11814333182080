"""What TensorRT's engine inspector tells: layers, kernels and their tiles.

Its report is JSON whose fields differ between versions; what is not there is left out, never
guessed. Knows nothing of TensorRT's module.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from profiler.backend import BackendError

TILE = re.compile(r"tilesize(\d+x\d+x\d+)")
"""In a kernel's name: rows, columns and depth of the tile that a thread block computes."""
REFORMAT = "Reformat"
MOST = 2000
"""Characters of a list in a record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """Attributes:
    layers: names, in the order they run.
    tactics: names of kernels, of those layers that tell.
    tiles: tile sizes such as "128x128x16", of those kernels that tell.
    reformats: how many layers only change a tensor's format.
    """

    layers: tuple[str, ...]
    tactics: tuple[str, ...]
    tiles: tuple[str, ...]
    reformats: int

    def facts(self) -> dict[str, str]:
        """For a record; lists are cut where they are long."""
        known = {
            "layers": str(len(self.layers)),
            "reformat_layers": str(self.reformats),
            "layer_names": _joined(self.layers),
            "tactics": _joined(tuple(dict.fromkeys(self.tactics))),
            "tiles": _joined(tuple(dict.fromkeys(self.tiles))),
        }
        return {name: value for name, value in known.items() if value}


def parse(report: str) -> Inspection:
    """The inspector's report.

    Raises:
        BackendError: it is not JSON with a list of layers.
    """
    try:
        layers = json.loads(report)["Layers"]
    except (ValueError, KeyError, TypeError, RecursionError):
        layers = None
    if not isinstance(layers, list):
        raise BackendError(f"an engine's report must be JSON with Layers, but got {report[:60]!r}")
    tactics = [tactic for layer in layers if (tactic := _text(layer, "TacticName"))]
    return Inspection(
        layers=tuple(_name(layer) for layer in layers),
        tactics=tuple(tactics),
        tiles=tuple(_tiles(tactics)),
        reformats=sum(map(_is_reformat, layers)),
    )


def _name(layer: Any) -> str:
    # without detailed verbosity a layer is its name
    return layer if isinstance(layer, str) else _text(layer, "Name")


def _is_reformat(layer: Any) -> bool:
    kind = _text(layer, "LayerType")
    return kind == REFORMAT if kind else _name(layer).startswith("Reformatting")


def _tiles(tactics: list[str]) -> Iterator[str]:
    for tactic in tactics:
        yield from TILE.findall(tactic)


def _text(layer: Any, field: str) -> str:
    value = layer.get(field) if isinstance(layer, dict) else None
    return value if isinstance(value, str) else ""


def _joined(words: tuple[str, ...]) -> str:
    return "; ".join(word for word in words if word)[:MOST]
