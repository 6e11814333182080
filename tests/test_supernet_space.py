"""Search spaces: every operator stays inside, in every kind of space."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from supernet_strategies import seeds, spaces

from supernet.arithmetic import encode
from supernet.config import ChannelConfig, ConfigError
from supernet.network import NetworkSpec
from supernet.space import SearchSpace

NETWORK = NetworkSpec(depths=(2, 1), width=0.125)


@given(spaces(), seeds(), st.floats(0, 1))
def test_operators_stay_inside(space: SearchSpace, seed: int, probability: float) -> None:
    rng = np.random.default_rng(seed)
    a, b = space.sample(rng), space.sample(rng)
    child = space.crossover(a, b, rng)
    for config in (a, b, child, space.mutate(a, rng, probability)):
        assert config in space
        space.check(config)
    from_either = (encode([child]) == encode([a])) | (encode([child]) == encode([b]))
    half_removed = encode([child]) == 0
    assert (from_either | half_removed).all()


@given(spaces())
def test_smallest_and_largest_bound_the_space(space: SearchSpace) -> None:
    low, high = encode([space.smallest()]), encode([space.largest()])
    rows = encode([space.sample(np.random.default_rng(seed)) for seed in range(5)])
    assert (low <= rows).all()
    assert (rows <= high).all()


@given(spaces(), seeds())
def test_same_seed_same_choices(space: SearchSpace, seed: int) -> None:
    one, two = np.random.default_rng(seed), np.random.default_rng(seed)
    a, b = space.sample(one), space.sample(two)
    assert a == b
    assert space.mutate(a, one, 0.5) == space.mutate(b, two, 0.5)


@given(spaces(), seeds())
def test_genes_are_the_inverse_of_config(space: SearchSpace, seed: int) -> None:
    config = space.sample(np.random.default_rng(seed))
    (genes,) = space.genes([config])
    assert len(genes) == len(space.names)
    assert space.config(genes) == config


@given(spaces(), seeds())
def test_mutation_with_probability_0_and_1(space: SearchSpace, seed: int) -> None:
    rng = np.random.default_rng(seed)
    config = space.sample(rng)
    assert space.mutate(config, rng, 0.0) == config
    drawn = [space.mutate(config, rng, 1.0) for _ in range(12)]
    if space.log10_size > 8:
        assert len(set(drawn)) == 12


def test_tied_and_untied_genes() -> None:
    tied = SearchSpace.from_ratios(NETWORK, [0.5, 1])
    untied = SearchSpace.from_ratios(NETWORK, [0.5, 1], tied=False)
    assert tied.names == ("stem", "stage1", "stage2", "1.0", "1.1", "2.0")
    assert untied.names[3:] == ("1.0.w1", "1.0.w2", "1.1.w1", "1.1.w2", "2.0.w1", "2.0.w2")
    loose = replace(tied.largest(), inner=((4, 8), (8, 8), (16, 16)))
    assert loose in untied
    with pytest.raises(ConfigError, match="ties the inner widths"):
        tied.check(loose)


def test_removable_blocks_are_those_with_an_identity_shortcut() -> None:
    space = SearchSpace.from_ratios(NETWORK, [0.5, 1], removable=True)
    assert space.choices[3:] == ((4, 8), (0, 4, 8), (8, 16))
    assert space.smallest().inner == ((4, 4), (0, 0), (8, 8))
    assert space.smallest() not in SearchSpace.from_ratios(NETWORK, [0.5, 1])


def test_half_removed_block_is_removed_whole() -> None:
    space = SearchSpace.from_ratios(NETWORK, [0.5, 1], tied=False, removable=True)
    genes = space.genes([space.largest()])[0]
    genes[space.names.index("1.1.w2")] = 0
    assert space.config(genes).inner[1] == (0, 0)


def test_size_counts_the_configs() -> None:
    space = SearchSpace.from_ratios(NETWORK, [0.5, 0.75, 1], removable=True)
    every = {space.config(np.array(genes)) for genes in itertools.product(*space.choices)}
    assert math.isclose(10**space.log10_size, len(every))
    assert all(config in space for config in every)


def test_check_names_gene_and_choices() -> None:
    space = SearchSpace.from_ratios(NETWORK, [0.5, 1])
    with pytest.raises(ConfigError, match=r"stage2 must be one of \[32, 64\], but got 48"):
        space.check(replace(space.largest(), stages=(32, 48)))
    with pytest.raises(ConfigError, match=r"1\.1 must be one of \[4, 8\], but got 0"):
        space.check(replace(space.largest(), inner=((8, 8), (0, 0), (16, 16))))


def test_narrowed_keeps_only_allowed_widths() -> None:
    space = SearchSpace.from_ratios(NETWORK, [0.25, 0.5, 0.75, 1])
    narrow = space.narrowed({"stage1": [16, 32, 999], "2.0": {4}})
    assert narrow.choices[1] == (16, 32)
    assert narrow.choices[5] == (4,)
    assert narrow.choices[:1] + narrow.choices[2:5] == space.choices[:1] + space.choices[2:5]
    with pytest.raises(ConfigError, match="stage1"):
        space.narrowed({"stage1": [17]})


@given(spaces(), seeds())
def test_narrowed_space_lies_inside(space: SearchSpace, seed: int) -> None:
    allowed = {name: widths[-2:] for name, widths in zip(space.names, space.choices, strict=True)}
    narrow = space.narrowed(allowed)
    assert narrow.sample(np.random.default_rng(seed)) in space
    assert narrow.largest() == space.largest()


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        (((8,),), "6 genes need choices, but got 1"),
        (((8, 4), (32,), (64,), (8,), (8,), (16,)), "stem: choices must be ascending"),
        (((8,), (32,), (64,), (0, 8), (8,), (16,)), r"inner\[0\] is the first block"),
        (((0, 8), (32,), (64,), (8,), (8,), (16,)), "stem must be a whole number from 1"),
    ],
)
def test_bad_choices(choices: tuple[tuple[int, ...], ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SearchSpace(network=NETWORK, choices=choices)


def test_contains_refuses_other_depths() -> None:
    space = SearchSpace.from_ratios(NETWORK, [0.5, 1])
    assert ChannelConfig(8, (32,), ((8, 8), (8, 8))) not in space
