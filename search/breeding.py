"""Mutation and crossover of index rows; limits are the business of `search.sampling`."""

from __future__ import annotations

import numpy as np

from search.lattice import Index, Lattice, Mask


def mutate(
    lattice: Lattice, parents: Index, rng: np.random.Generator, chance: float, step: float
) -> Index:
    """Each gene changes with `chance`, at least one a row: children, [n, genes].

    The share `step` of the rows moves each changed gene to a neighbouring choice; in the others
    it takes any choice.
    """
    changed = rng.random(parents.shape) < chance
    changed[np.arange(len(parents)), rng.integers(parents.shape[1], size=len(parents))] = True
    changed = _together(lattice, changed, parents)
    sign = np.where(rng.random(parents.shape) < 0.5, 1, -1)
    near = np.clip(parents + sign, 0, lattice.sizes - 1)
    stepping = rng.random((len(parents), 1)) < step
    moved = np.where(stepping, near, lattice.draw(rng, len(parents)))
    return np.where(changed, moved, parents)


def crossover(lattice: Lattice, one: Index, two: Index, rng: np.random.Generator) -> Index:
    """Each gene from either parent with equal chance: children, [n, genes]."""
    first = rng.random(one.shape) < 0.5
    for parents in (one, two):
        first = _together(lattice, first, parents)
    return np.where(first, one, two)


def _together(lattice: Lattice, mask: Mask, parents: Index) -> Mask:
    """Lets both genes of a removed block move as one: alone, neither could bring it back."""
    if len(lattice.pairs):
        gone = (parents[:, lattice.pairs] == 0).all(axis=2)
        row, block = np.nonzero(gone)
        either = np.any(mask[row[:, None], lattice.pairs[block]], axis=1)
        mask = mask.copy()
        mask[row[:, None], lattice.pairs[block]] = either[:, None]
    return mask
