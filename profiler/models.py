"""What can be measured, as plain values: a chain of pieces, a whole network, a model file.

They cross to the process that measures, so they have a JSON form. Builds nothing by itself.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from latency_tables.table import Target
from profiler.backend import Backend, Runner
from supernet.arithmetic import count
from supernet.config import ChannelConfig
from supernet.network import NetworkSpec
from supernet.shapes import BlockShape, HeadShape, Shape, parse_shape


@dataclass(frozen=True, slots=True)
class Chain:
    """Pieces one after another; a single one is a row of a table."""

    pieces: tuple[Shape, ...]

    def build(self, backend: Backend, target: Target) -> Runner:
        if len(self.pieces) == 1:
            return backend.block(self.pieces[0], target)
        return backend.chain(self.pieces, target)

    def to_json(self) -> dict[str, Any]:
        return {"kind": "chain", "pieces": [[s.geometry, list(s.widths)] for s in self.pieces]}

    @property
    def weights(self) -> int:
        return sum(map(weights_of, self.pieces))


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole network."""

    network: NetworkSpec
    config: ChannelConfig

    def build(self, backend: Backend, target: Target) -> Runner:
        return backend.network(self.network, self.config, target)

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "network",
            "network": asdict(self.network),
            "config": self.config.to_json(),
        }

    @property
    def weights(self) -> int:
        return count(self.network, self.config)[1]


@dataclass(frozen=True, slots=True)
class File:
    """An exported model (an ONNX file)."""

    path: str

    def build(self, backend: Backend, target: Target) -> Runner:
        return backend.file(self.path, target)

    def to_json(self) -> dict[str, Any]:
        return {"kind": "file", "path": self.path}


Model = Chain | Whole | File


def piece(shape: Shape) -> Chain:
    """A single piece."""
    return Chain((shape,))


def model_from_json(data: dict[str, Any]) -> Model:
    """The inverse of `to_json`."""
    match data["kind"]:
        case "chain":
            pieces = [parse_shape(geometry, tuple(w)) for geometry, w in data["pieces"]]
            return Chain(tuple(pieces))
        case "network":
            spec = {**data["network"], "depths": tuple(data["network"]["depths"])}
            return Whole(NetworkSpec(**spec), ChannelConfig.from_json(data["config"]))
        case _:
            return File(data["path"])


def weights_of(shape: Shape) -> int:
    """About how many weights a shape has."""
    match shape:
        case BlockShape():
            projection = shape.cin * shape.cout if shape.shortcut == "projection" else 0
            return shape.w1 * (shape.cin + 9 * shape.w2) + shape.w2 * shape.cout + projection
        case HeadShape():
            return shape.cin * shape.classes
        case _:
            return shape.kernel**2 * shape.channels * shape.cout
