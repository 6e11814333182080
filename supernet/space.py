"""`SearchSpace`: which widths each gene may take, and the random operators on configs.

A gene is one width that moves alone: the stem, a stage output, an inner width, or, when tied
(as in MetaPruning), the two inner widths of a bottleneck together. Every random choice takes
an explicit generator. Populations are the integer rows of `supernet.arithmetic`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from supernet.arithmetic import Rows, decode, encode
from supernet.config import ChannelConfig, ConfigError
from supernet.network import NetworkSpec


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """Allowed widths per gene of a network.

    Attributes:
        choices: per gene, the allowed widths, ascending; 0 among them allows block removal.
        tied: the two inner widths of a bottleneck are one gene.
    """

    network: NetworkSpec
    choices: tuple[tuple[int, ...], ...]
    tied: bool = True

    def __post_init__(self) -> None:
        if len(self.choices) != len(self.names):
            raise ConfigError(f"{len(self.names)} genes need choices, but got {len(self.choices)}")
        for name, widths in zip(self.names, self.choices, strict=True):
            if not widths or list(widths) != sorted(set(widths)) or widths[0] < 0:
                raise ConfigError(f"{name}: choices must be ascending widths, got {list(widths)}")
        self.network.check(self.smallest())

    @classmethod
    def from_ratios(
        cls,
        network: NetworkSpec,
        ratios: Iterable[float],
        *,
        divisor: int = 1,
        tied: bool = True,
        removable: bool = False,
    ) -> SearchSpace:
        """Every gene may take its dense width times each ratio, rounded to a multiple of divisor.

        With `removable`, inner genes of blocks with an identity shortcut may also be 0.
        """
        scaled = encode([network.uniform(ratio, divisor) for ratio in ratios])
        widths = [tuple(sorted({int(w) for w in column})) for column in scaled.T]
        first = 1 + len(network.depths)
        inner = widths[first::2] if tied else widths[first:]
        if removable:
            per_block = 1 if tied else 2
            later = [index > 0 for _, index in network.positions() for _ in range(per_block)]
            inner = [(0, *w) if drop else w for w, drop in zip(inner, later, strict=True)]
        return cls(network=network, choices=(*widths[:first], *inner), tied=tied)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Gene names: stem, stage1..n, then 1.0 (tied) or 1.0.w1, 1.0.w2 per bottleneck."""
        stages = [f"stage{s + 1}" for s in range(len(self.network.depths))]
        blocks = [f"{stage + 1}.{index}" for stage, index in self.network.positions()]
        if not self.tied:
            blocks = [f"{block}.{axis}" for block in blocks for axis in ("w1", "w2")]
        return ("stem", *stages, *blocks)

    @cached_property
    def columns(self) -> Rows:
        """For each column of a population row, the gene it shows."""
        first = 1 + len(self.network.depths)
        inner = np.arange(first, len(self.names))
        return np.concatenate([np.arange(first), np.repeat(inner, 2) if self.tied else inner])

    @property
    def log10_size(self) -> float:
        """Decimal logarithm of the number of configs."""
        return sum(math.log10(len(widths)) for widths in self.choices)

    def rows(self, genes: Rows) -> Rows:
        """Gene widths [n, genes] as population rows; a half-removed block is removed whole."""
        rows: Rows = np.ascontiguousarray(genes[:, self.columns])
        first = 1 + len(self.network.depths)
        pairs = rows[:, first:].reshape(len(rows), len(self.columns[first:]) // 2, 2)
        pairs[(pairs == 0).any(axis=2)] = 0
        return rows

    def genes(self, configs: Sequence[ChannelConfig]) -> Rows:
        """Configs as gene widths [n, genes]."""
        kept = np.unique(self.columns, return_index=True)[1]
        return encode(configs)[:, kept]

    def config(self, genes: Rows) -> ChannelConfig:
        """One row of gene widths as a config."""
        return decode(self.network, self.rows(genes[None])[0])

    def check(self, config: ChannelConfig) -> None:
        """Raises ConfigError naming the first width outside the space and its choices."""
        self.network.check(config)
        row = encode([config])[0]
        for column, gene in enumerate(self.columns):
            width, choices = int(row[column]), self.choices[gene]
            if width not in choices:
                raise ConfigError(
                    f"{self.names[gene]} must be one of {list(choices)}, but got {width}"
                )
        if self.tied and any(a != b for a, b in config.inner):
            raise ConfigError("this space ties the inner widths of a block; they must be equal")

    def __contains__(self, config: ChannelConfig) -> bool:
        try:
            self.check(config)
        except ConfigError:
            return False
        return True

    def smallest(self) -> ChannelConfig:
        """Every gene at its smallest width."""
        return self.config(np.array([widths[0] for widths in self.choices]))

    def largest(self) -> ChannelConfig:
        """Every gene at its largest width."""
        return self.config(np.array([widths[-1] for widths in self.choices]))

    def sample_genes(self, rng: np.random.Generator, n: int) -> Rows:
        """`n` gene rows, every gene uniform over its choices."""
        return np.stack([rng.choice(widths, size=n) for widths in self.choices], axis=1)

    def sample(self, rng: np.random.Generator) -> ChannelConfig:
        """One config, every gene uniform over its choices."""
        return self.config(self.sample_genes(rng, 1)[0])

    def mutate(
        self, config: ChannelConfig, rng: np.random.Generator, probability: float
    ) -> ChannelConfig:
        """Each gene is drawn anew with `probability`."""
        genes, fresh = self.genes([config])[0], self.sample_genes(rng, 1)[0]
        return self.config(np.where(rng.random(len(genes)) < probability, fresh, genes))

    def crossover(
        self, a: ChannelConfig, b: ChannelConfig, rng: np.random.Generator
    ) -> ChannelConfig:
        """Each gene comes from `a` or `b` with equal chance."""
        pair = self.genes([a, b])
        return self.config(np.where(rng.random(pair.shape[1]) < 0.5, pair[0], pair[1]))

    def narrowed(self, allowed: Mapping[str, Iterable[int]]) -> SearchSpace:
        """The space with, for each gene named, only those of its widths that are in `allowed`.

        Raises:
            ConfigError: no width of a gene is left.
        """
        wanted = {name: set(widths) for name, widths in allowed.items()}
        return replace(
            self,
            choices=tuple(
                tuple(w for w in widths if name not in wanted or w in wanted[name])
                for name, widths in zip(self.names, self.choices, strict=True)
            ),
        )
