"""One fit for all rows of a table: pieces alone, chains of pieces, whole networks.

Every measured latency is a sum: the start of a run, what the layers of each piece cost, and what
the residual stream costs between them (`features.stream`), which a piece measured alone sees only
from its plain side. So pieces measured alone show the stairs, chains and networks what isolation
adds; nonnegative, outlier-proof least squares in relative error (`latency_tables.fit`) finds the
shares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from latency_tables.features import STREAM, Floats, Mask, design, leave, stream
from latency_tables.grain import Grain
from latency_tables.table import MissingShapeError
from supernet.shapes import BlockShape, Shape

ENDS = STREAM + 1  # coefficients of a geometry's residual stream, and of leaving it


@dataclass(frozen=True)
class Layout:
    """Which coefficient is which: per geometry its design and its stream, then the start of a run.

    Attributes:
        samples: any shape of each geometry.
        grain: how the runtime rounds.
    """

    samples: Mapping[str, Shape]
    grain: Grain

    @cached_property
    def places(self) -> dict[str, slice]:
        """Where the design coefficients of each geometry lie; its stream's follow."""
        found, start = {}, 0
        for name, shape in self.samples.items():
            size = design(shape, np.ones((1, len(shape.axes))), self.grain).shape[1]
            found[name] = slice(start, start + size)
            start += size + ENDS
        return found

    @cached_property
    def size(self) -> int:
        """Number of coefficients."""
        return max((place.stop for place in self.places.values()), default=0) + ENDS + 1

    def alone(self, geometry: str, widths: Floats, inside: Mask | None = None) -> Floats:
        """Rows for pieces of one geometry measured alone, [n, axes] to [n, size].

        Args:
            inside: those measured in chains, whose borders cancel out, [n]; none by default.
        """
        shape, place = self.samples[geometry], self.places[geometry]
        inside = np.zeros(len(widths), dtype=np.bool_) if inside is None else inside
        rows = np.zeros((len(widths), self.size))
        rows[:, place] = design(shape, widths, self.grain)
        rows[:, place.stop : place.stop + ENDS] = borders(shape, widths, self.grain, inside)
        rows[:, -1] = ~inside
        return rows

    def chain(self, pieces: Sequence[Shape]) -> Floats:
        """The row of pieces measured one after another, [size].

        Raises:
            MissingShapeError: a piece of another geometry than the samples'.
        """
        row, into = np.zeros(self.size), np.zeros(1, dtype=np.bool_)
        row[-1] = 1.0
        for number, shape in enumerate(pieces, start=1):
            if shape.geometry not in self.samples:
                known = ", ".join(self.samples) or "none"
                raise MissingShapeError(f"{shape.geometry} was not measured; measured: {known}")
            place = self.places[shape.geometry]
            widths = np.array([shape.widths], dtype=np.float64)
            row[place] += design(shape, widths, self.grain)[0]
            at_ends, into = ends(shape, widths, self.grain, into)
            kept = ENDS if number == len(pieces) else STREAM
            row[place.stop : place.stop + kept] += at_ends[0, :kept]
        return row


def borders(shape: Shape, widths: Floats, grain: Grain, inside: Mask) -> Floats:
    """Features of the stream of pieces fed plain maps, and of leaving them, [n, ENDS].

    Args:
        inside: those measured in chains, [n]. What leaves more copies of a piece leaves fewer too,
            so the difference of the two chains does not have it; a piece that others come before
            is the last of its chain, and has it.
    """
    found = ends(shape, widths, grain, np.zeros(len(widths), dtype=np.bool_))[0]
    if isinstance(shape, BlockShape) and shape.shortcut == "identity":
        found[inside, -1] = 0.0
    return found


def ends(shape: Shape, widths: Floats, grain: Grain, into: Mask) -> tuple[Floats, Mask]:
    """Features of a piece's stream and of leaving it, [n, ENDS], and how it leaves, [n]."""
    between, out = stream(shape, widths, grain, into)
    return np.hstack([between, leave(shape, widths, out)[:, None]]), out
