"""Configs of importances: within the limits, and in their proportions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.metrics import Macs, Params
from search.problem import Constraint, Problem, SearchError
from search.proposals import combined, proposed
from supernet.arithmetic import encode
from supernet.network import NetworkSpec
from supernet.space import SearchSpace

NETWORK = NetworkSpec(depths=(2, 2), width=0.25, stem="3x3/2", resolution=32, classes=10)
WIDTHS = encode([NETWORK.dense()])[0]


def problem_of(share: float, *, tied: bool = True, removable: bool = False) -> Problem:
    space = SearchSpace.from_ratios(
        NETWORK, [k / 8 for k in range(1, 9)], tied=tied, removable=removable
    )
    macs, params = Macs(network=NETWORK), Params(network=NETWORK)
    dense = float(macs(encode([NETWORK.dense()]))[0])
    limit = Constraint(metric="macs", limit=share * dense)
    return Problem(space=space, metrics={"macs": macs, "params": params}, constraints=(limit,))


def drawn(seed: int, scale: np.ndarray | None = None) -> dict[int, np.ndarray]:
    rng = np.random.default_rng(seed)
    scale = np.ones(len(WIDTHS)) if scale is None else scale
    return {column: scale[column] * rng.random(width) for column, width in enumerate(WIDTHS)}


@given(st.floats(0.05, 1), st.booleans(), st.booleans(), st.integers(0, 1000))
@settings(deadline=None, max_examples=25)
def test_a_proposal_is_within_the_limits_and_nearly_uses_them(
    share: float, tied: bool, removable: bool, seed: int
) -> None:
    problem = problem_of(share, tied=tied, removable=removable)
    config = proposed(problem, drawn(seed))
    assert config in problem.space
    rows = encode([config])
    assert problem.excess(rows)[0] == 0
    assert (rows > 0).all()
    # Alike channels keep alike shares, and a threshold moves one width at a time.
    used = problem.metrics["macs"](rows)[0] / problem.constraints[0].limit
    assert used > 0.6 or share > 0.9


def test_layers_whose_channels_matter_keep_more() -> None:
    scale = np.ones(len(WIDTHS))
    scale[5:7], scale[7:9] = 4, 0.25  # blocks 1 and 2
    config = proposed(problem_of(0.4), drawn(0, scale))
    kept = encode([config])[0] / WIDTHS
    assert kept[7] < 0.3 < kept[3] < 0.8 < kept[5]


def test_no_limit_keeps_everything() -> None:
    assert proposed(problem_of(1.0), drawn(0)) == NETWORK.dense()


def test_unreachable_bands_give_what_breaks_them_least() -> None:
    problem = problem_of(1e-4)
    assert proposed(problem, drawn(0)) == problem.space.smallest()


def test_combination_is_by_rank() -> None:
    first, second = drawn(0), drawn(1)
    huge = {column: 1e6 * values for column, values in second.items()}
    both = combined([first, huge])
    for column, values in combined([first, second]).items():
        assert np.array_equal(both[column], values)
    alone = combined([first])
    assert all(
        np.array_equal(np.argsort(alone[column]), np.argsort(first[column])) for column in first
    )


def test_missing_importances_are_errors() -> None:
    partial = {column: values for column, values in drawn(0).items() if column != 4}
    with pytest.raises(SearchError, match=r"1\.0 needs a finite importance"):
        proposed(problem_of(0.5), partial)
    with pytest.raises(SearchError, match="the same channels"):
        combined([drawn(0), partial])
    with pytest.raises(SearchError, match="at least one"):
        combined([])
    nan = drawn(0)
    nan[0][0] = np.nan
    with pytest.raises(SearchError, match="stem needs a finite importance"):
        proposed(problem_of(0.5), nan)
