"""`Surrogate`: a Gaussian process of estimates, as a sum over genes and over pairs of genes.

Kernel of first and second order over features of widths (Duvenaud et al. 2011, additive Gaussian
processes; the second-order sum by Newton's identity). Its posterior mean and every sample of it
are explicit: a number per feature and one per pair of features. Hyperparameters maximise the
marginal likelihood on a small grid. Knows nothing of limits or of how it is optimised.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky

from search.basis import Basis
from search.lattice import Index
from search.problem import Floats

PAIRWISE = (0.0, 0.01, 0.05, 0.2, 0.5)
"""Share of the prior variance that pairs of genes explain."""
NOISE = (1e-6, 1e-4, 1e-3, 1e-2, 0.1, 0.5)
"""Noise variance relative to the prior's."""
_CONSTANT = 4.0  # variance of the constant, relative to the prior's
_SMALLEST = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """An explicit function of features.

    Attributes:
        linear: one number per feature, [count].
        pairs: one per pair of features, symmetric, 0 within a gene, [count, count].
    """

    constant: float
    linear: Floats
    pairs: Floats

    def values(self, features: Floats) -> Floats:
        """The function at each row, [n]."""
        half = 0.5 * features @ self.pairs
        found: Floats = self.constant + features @ self.linear + (half * features).sum(axis=1)
        return found

    def slopes(self, features: Floats) -> Floats:
        """What each feature is multiplied by, the other genes as they are, [n, count]."""
        found: Floats = self.linear + features @ self.pairs
        return found


class Surrogate:
    """The posterior given scored rows.

    Attributes:
        choice: places of the hyperparameters in `PAIRWISE` and `NOISE`.
    """

    def __init__(
        self, basis: Basis, index: Index, estimates: Floats, choice: tuple[int, int], *, tune: bool
    ) -> None:
        """Fits n rows in O(n^3).

        Args:
            choice: hyperparameters to start from.
            tune: whether better ones are looked for.
        """
        self.basis = basis
        self._features = basis(index)
        self._first, self._second = _kernels(basis, self._features)
        self._shift, self._scale = float(estimates.mean()), float(estimates.std()) or 1.0
        self._y = (estimates - self._shift) / self._scale
        self.choice, fitted = choice, self._fit(choice)
        if tune:
            self.choice, fitted = self._climb(choice, fitted)
        self._factor, self._alpha, self._variance, _ = fitted

    def mean(self) -> Model:
        """The posterior mean."""
        return self._scaled(*self._explicit(self._alpha))

    def sample(self, rng: np.random.Generator) -> Model:
        """One function drawn from the posterior (Matheron's rule: a prior draw, corrected)."""
        first, second = self._weights()
        spread = math.sqrt(self._variance)
        constant = float(rng.normal(0, spread * math.sqrt(_CONSTANT)))
        linear = rng.normal(0, spread * math.sqrt(first), self.basis.count)
        raw = rng.normal(0, spread * math.sqrt(second), (self.basis.count,) * 2)
        pairs = self._between_genes(np.triu(raw) + np.triu(raw, 1).T)
        prior = Model(constant=constant, linear=linear, pairs=pairs)
        noise = rng.normal(0, math.sqrt(self._variance * NOISE[self.choice[1]]), len(self._y))
        rest = self._y - prior.values(self._features) - noise
        more, lines, products = self._explicit(cho_solve((self._factor, True), rest))
        return self._scaled(constant + more, linear + lines, pairs + products)

    def left_out_error(self) -> float:
        """Root mean square error at each row when it is left out, relative to their deviation."""
        inverse = cho_solve((self._factor, True), np.eye(len(self._y)))
        return float(np.sqrt(np.mean((self._alpha / np.diag(inverse)) ** 2)))

    def _weights(self) -> tuple[float, float]:
        """Prior variance of one first-order and one second-order weight."""
        share, genes = PAIRWISE[self.choice[0]], self.basis.genes
        return (1 - share) / genes, share / max(genes * (genes - 1) / 2, 1)

    def _explicit(self, alpha: Floats) -> tuple[float, Floats, Floats]:
        first, second = self._weights()
        pairs = second * (self._features.T * alpha) @ self._features
        linear = first * (self._features.T @ alpha)
        return _CONSTANT * float(alpha.sum()), linear, self._between_genes(pairs)

    def _between_genes(self, pairs: Floats) -> Floats:
        for span in self.basis.spans:
            pairs[span, span] = 0.0
        return pairs

    def _scaled(self, constant: float, linear: Floats, pairs: Floats) -> Model:
        scale = self._scale
        return Model(
            constant=self._shift + scale * constant, linear=scale * linear, pairs=scale * pairs
        )

    def _fit(self, choice: tuple[int, int]) -> tuple[Floats, Floats, float, float]:
        """Cholesky factor, weights of the rows, variance, log marginal likelihood."""
        share, n = PAIRWISE[choice[0]], len(self._y)
        kernel = (1 - share) * self._first + share * self._second + _CONSTANT
        kernel[np.diag_indices(n)] += NOISE[choice[1]]
        factor = cholesky(kernel, lower=True, overwrite_a=True)
        alpha = cho_solve((factor, True), self._y)
        variance = max(float(self._y @ alpha) / n, _SMALLEST)
        likelihood = -0.5 * n * math.log(variance) - float(np.log(np.diag(factor)).sum())
        return factor, alpha, variance, likelihood

    def _climb(
        self, choice: tuple[int, int], fitted: tuple[Floats, Floats, float, float]
    ) -> tuple[tuple[int, int], tuple[Floats, Floats, float, float]]:
        """Moves to a better neighbour on the grid until there is none."""
        tried = {choice}
        while True:
            near = [(choice[0] + a, choice[1] + b) for a, b in ((1, 0), (-1, 0), (0, 1), (0, -1))]
            near = [
                (a, b)
                for a, b in near
                if 0 <= a < len(PAIRWISE) and 0 <= b < len(NOISE) and (a, b) not in tried
            ]
            tried.update(near)
            better = [(found, at) for at in near if (found := self._fit(at))[3] > fitted[3]]
            if not better:
                return choice, fitted
            fitted, choice = max(better, key=lambda pair: pair[0][3])


def _kernels(basis: Basis, features: Floats) -> tuple[Floats, Floats]:
    """Mean of the genes' kernels and mean over pairs of genes of their products, both [n, n]."""
    total = features @ features.T
    squares = np.zeros_like(total)
    for span in basis.spans:
        block = features[:, span]
        squares += (block @ block.T) ** 2
    pairs = max(basis.genes * (basis.genes - 1) / 2, 1)
    return total / basis.genes, (total**2 - squares) / (2 * pairs)
