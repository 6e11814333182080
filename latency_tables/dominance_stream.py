"""What the residual stream adds to `latency_tables.dominance`: it ties blocks to those before them.

A width decides by one bit how maps travel on, and so what later blocks pay. Two networks that
differ in one gene are walked side by side; what the one may pay more than the other, over all
widths of the other genes, is a maximum over paths of bits (Bellman 1957).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from latency_tables.features import Floats, fits
from latency_tables.grain import Grain
from latency_tables.pricing import Piece, Pricer
from supernet.space import SearchSpace

Kind = tuple[bool, bool]
"""Of a width: it fits the grouped implementation; being the stem's, it fills whole groups."""
Width = tuple[Kind, float]
"""A kind, and how many channels it counts for."""
Pair = tuple[Width, Width]
"""The same width in the one network and in the other."""
STEM = 0  # its gene


@dataclass(frozen=True)
class Stream:
    """The residual stream of a space's networks.

    Attributes:
        pricer: prices them.
        space: the search space.
        gene: the one in which two networks differ.
    """

    pricer: Pricer
    space: SearchSpace
    gene: int
    _units: dict[tuple[str, bool, bool, bool], tuple[float, float, bool]] = field(
        default_factory=dict, repr=False, compare=False
    )

    def excess(self, widths: Sequence[int]) -> Floats:
        """Upper bound of what a width adds to the stream beyond another, ms, [from, to]; to > from.

        The cost is linear in the width within a kind: from one width to another is a change of
        kind at the same number of channels, then more channels of the same kind.
        """
        numbers = np.array(widths, dtype=np.float64)
        kinds = [self._kind(self.gene, width) for width in widths]
        total = np.zeros((len(widths), len(widths)))
        for source, target in product(sorted(set(kinds)), repeat=2):
            ours = np.array([kind == source for kind in kinds])
            theirs = np.array([kind == target for kind in kinds])
            ends = numbers[ours].min(), numbers[ours].max()
            change = [self.walk((source, end), (target, end)) for end in ends]
            slope = self.walk((target, 0.0), (target, 1.0))
            # A maximum of lines lies below the chord between its ends.
            start = np.interp(numbers[ours], ends, change) if source != target else 0.0
            grown = slope * (numbers[None, theirs] - numbers[ours, None])
            total[np.ix_(ours, theirs)] = grown + np.reshape(start, (-1, 1))
        return total

    def walk(self, ours: Width, theirs: Width) -> float:
        """The most that a network with `theirs` pays beyond one with `ours`, in ms."""
        states = {(False, False): 0.0, (True, True): 0.0}
        touched = False
        for piece in self.pricer.pieces:
            genes = [int(self.space.columns[column]) for column in piece.columns]
            touched = touched or self.gene in genes
            if touched:
                states = self._step(piece, genes, states, (ours, theirs))
        return max(states.values())

    def _step(
        self,
        piece: Piece,
        genes: Sequence[int],
        states: dict[tuple[bool, bool], float],
        pair: Pair,
    ) -> dict[tuple[bool, bool], float]:
        if piece.number is None:
            # A head ends the stream. A stem begins it, and only its own gene is followed from it.
            return states if genes != [STEM] else {(pair[0][0][1], pair[1][0][1]): 0.0}
        after: dict[tuple[bool, bool], float] = {}
        if any(side != self.gene and 0 in self.space.choices[side] for side in genes[1:3]):
            after.update(states)
        for cin, w2, cout in self._options(piece, genes, pair):
            for (mine, other), so_far in states.items():
                ours, out = self._cost(piece, cin[0], w2[0], cout[0], mine)
                theirs, its = self._cost(piece, cin[1], w2[1], cout[1], other)
                value = so_far + theirs - ours
                after[(out, its)] = max(after.get((out, its), -np.inf), value)
        return after

    def _options(
        self, piece: Piece, genes: Sequence[int], pair: Pair
    ) -> Iterator[tuple[Pair, Pair, Pair]]:
        """What the input, the second inner and the output width of a block may be."""
        cin, _, w2, cout = (
            [pair] if side == self.gene else [(w, w) for w in self._extremes(side)]
            for side in genes
        )
        if genes[0] == genes[3]:
            yield from ((a, b, a) for a, b in product(cin, w2))
        else:
            yield from product(cin, w2, cout)

    def _extremes(self, gene: int) -> list[Width]:
        """The smallest and the largest width of each kind: costs are linear between them."""
        by_kind: dict[Kind, list[int]] = {}
        for width in self.space.choices[gene]:
            if width:
                by_kind.setdefault(self._kind(gene, width), []).append(width)
        return [(k, float(w)) for k, ws in by_kind.items() for w in sorted({min(ws), max(ws)})]

    def _kind(self, gene: int, width: int) -> Kind:
        whole = gene == STEM and width % self._grain.group == 0
        return bool(fits(np.array([float(width)]), self._grain)[0]), whole

    @property
    def _grain(self) -> Grain:
        return self.pricer.models.model(self.pricer.pieces[0].shape.geometry).grain

    def _cost(
        self, piece: Piece, cin: Width, w2: Width, cout: Width, into: bool
    ) -> tuple[float, bool]:
        """What the stream costs a block in ms, and whether it leaves grouped."""
        read, written, out = self._unit(piece.shape.geometry, cin[0][0], w2[0][0], into)
        return read * cin[1] + written * cout[1], out

    def _unit(
        self, geometry: str, first: bool, last: bool, into: bool
    ) -> tuple[float, float, bool]:
        """The same per channel read, and per channel written; whether conv1 and conv3 fit."""
        key = (geometry, first, last, into)
        if key not in self._units:
            model, align = self.pricer.models.model(geometry), self._grain.align
            some = {True: align, False: align * -(-self._grain.narrow // align) + 1}
            widths = np.array([[some[first], 1, some[last], cout] for cout in (0, 1)])
            (read, both), out = model.stream(widths, np.array([into, into]))
            self._units[key] = (float(read) / some[first], float(both - read), bool(out[0]))
        return self._units[key]
