"""`Basis`: smooth features of widths, one block of columns per gene.

A gene's features span the functions that change smoothly with the square root of its width; they
are centred, so that a sum over genes and products over pairs of genes are orthogonal parts of an
estimate (functional ANOVA). Knows nothing of estimates or limits.
"""

from __future__ import annotations

import numpy as np

from search.lattice import Index, Lattice
from search.problem import Floats
from supernet.arithmetic import Rows

_LENGTH = 0.7  # of the kernel, where a gene's widths span 1
_RANK = 6  # features per gene at most
_NEGLIGIBLE = 1e-6  # eigenvalue relative to the largest


class Basis:
    """Features of index rows.

    Attributes:
        blocks: per gene, features of each choice, [choices, rank]; scaled to mean square sum 1.
        spans: per gene, its columns.
        count: number of columns.
        genes: number of genes with more than one choice.
    """

    def __init__(self, lattice: Lattice) -> None:
        self.blocks: list[Floats] = []
        self.spans: list[slice] = []
        self.count = 0
        for gene, size in enumerate(lattice.sizes.tolist()):
            # Where a lattice leaves out a choice of its space, it is the 0 that comes first.
            widths = np.array(lattice.space.choices[gene][-size:])
            block = _features(widths) if size > 1 else np.zeros((1, 0))
            self.blocks.append(block)
            self.spans.append(slice(self.count, self.count + block.shape[1]))
            self.count += block.shape[1]
        self.genes = int((lattice.sizes > 1).sum())

    def __call__(self, index: Index) -> Floats:
        """Features of index rows, [n, count]."""
        columns = zip(self.blocks, index.T, strict=True)
        return np.concatenate([block[column] for block, column in columns], axis=1)


def _features(widths: Rows) -> Floats:
    """Leading eigenvectors of the centred kernel between the widths of one gene."""
    place = np.sqrt(widths.astype(np.float64))
    place = (place - place[0]) / (place[-1] - place[0])
    kernel = np.exp(-0.5 * ((place[:, None] - place) / _LENGTH) ** 2)
    kernel = kernel - kernel.mean(axis=0)
    kernel = kernel - kernel.mean(axis=1, keepdims=True)
    values, vectors = np.linalg.eigh(kernel)
    kept = np.flatnonzero(values > _NEGLIGIBLE * values[-1])[-_RANK:][::-1]
    features = vectors[:, kept] * np.sqrt(values[kept])
    # The sign of an eigenvector is arbitrary and may differ between machines.
    features *= np.where(features[-1] < 0, -1.0, 1.0)
    scaled: Floats = features / np.sqrt((features**2).sum() / len(widths))
    return scaled
