"""The surrogate's posterior is a Gaussian process's, and a climb finds a small space's optimum."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_search_contract import NETWORK, PROBLEMS, stepped

from search.basis import Basis
from search.climb import Limits, climb
from search.lattice import Index, Lattice
from search.problem import Constraint, Floats, Problem, SearchError
from search.sampling import Sampler
from search.searcher import Candidate, load
from search.surrogate import NOISE, PAIRWISE, Model, Surrogate
from supernet.arithmetic import macs
from supernet.network import NetworkSpec
from supernet.space import SearchSpace

LATTICE = Lattice(PROBLEMS["tied"].space)
BASIS = Basis(LATTICE)


def target(index: Index) -> Floats:
    """Concave in every gene, with one interaction."""
    weight = 1 + np.arange(index.shape[1])
    found: Floats = np.sqrt(1 + index) @ weight + 0.5 * index[:, 0] * index[:, 3]
    return found


def fitted(n: int, *, tune: bool = True, seed: int = 0) -> tuple[Surrogate, Index]:
    index = np.unique(LATTICE.draw(np.random.default_rng(seed), n), axis=0)
    return Surrogate(BASIS, index, target(index), (2, 2), tune=tune), index


def test_features_are_centred_and_of_unit_square() -> None:
    for block in BASIS.blocks:
        assert np.abs(block.mean(axis=0)).max() < 1e-12
        assert (block**2).sum() / len(block) == pytest.approx(1)
    assert BASIS(LATTICE.everything()[:7]).shape == (7, BASIS.count)


def test_the_mean_is_that_of_the_kernel() -> None:
    surrogate, index = fitted(60, tune=False)
    share, noise = PAIRWISE[2], NOISE[2]
    new = LATTICE.draw(np.random.default_rng(5), 9)

    def kernel(one: Index, two: Index) -> Floats:
        parts = np.stack(
            [
                BASIS(one)[:, span] @ BASIS(two)[:, span].T
                for span in BASIS.spans
            ]
        )  # fmt: skip
        pairs = [(a, b) for a in range(len(parts)) for b in range(a)]
        second = sum(parts[a] * parts[b] for a, b in pairs) / len(pairs)
        return np.asarray((1 - share) * parts.mean(axis=0) + share * second + 4.0)

    y = target(index)
    scaled = (y - y.mean()) / y.std()
    weights = np.linalg.solve(kernel(index, index) + noise * np.eye(len(y)), scaled)
    expected = y.mean() + y.std() * (kernel(new, index) @ weights)
    assert surrogate.mean().values(BASIS(new)) == pytest.approx(expected, rel=1e-6)


def test_samples_agree_with_the_data_and_differ_elsewhere() -> None:
    surrogate, index = fitted(40)
    rng = np.random.default_rng(0)
    new = LATTICE.draw(rng, 200)
    samples = [surrogate.sample(rng) for _ in range(40)]
    at_data = np.std([s.values(BASIS(index)) for s in samples], axis=0).mean()
    elsewhere = np.std([s.values(BASIS(new)) for s in samples], axis=0).mean()
    assert at_data < 0.3 * elsewhere
    mean = surrogate.mean().values(BASIS(new))
    assert np.mean([s.values(BASIS(new)) for s in samples], axis=0) == pytest.approx(
        mean, abs=4 * elsewhere / np.sqrt(40) + 0.2
    )


def test_it_learns_an_additive_function_with_an_interaction() -> None:
    surrogate, _ = fitted(150)
    new = LATTICE.draw(np.random.default_rng(9), 300)
    error = surrogate.mean().values(BASIS(new)) - target(new)
    assert np.sqrt(np.mean(error**2)) < 0.05 * target(new).std()
    assert surrogate.left_out_error() < 0.1
    assert PAIRWISE[surrogate.choice[0]] > 0


def test_noise_is_recognised() -> None:
    index = np.unique(LATTICE.draw(np.random.default_rng(0), 150), axis=0)
    noisy = target(index) + np.random.default_rng(1).normal(0, 5, len(index))
    clean = Surrogate(BASIS, index, target(index), (2, 2), tune=True)
    assert Surrogate(BASIS, index, noisy, (2, 2), tune=True).choice[1] > clean.choice[1]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
def test_slopes_are_exact_for_one_gene(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pairs = rng.normal(size=(BASIS.count, BASIS.count))
    pairs += pairs.T
    for span in BASIS.spans:
        pairs[span, span] = 0
    model = Model(constant=1.0, linear=rng.normal(size=BASIS.count), pairs=pairs)
    one = LATTICE.draw(rng, 1)
    two, gene = one.copy(), int(rng.integers(one.shape[1]))
    two[0, gene] = rng.integers(LATTICE.sizes[gene])
    gain = ((BASIS(two) - BASIS(one)) * model.slopes(BASIS(one))).sum()
    difference = model.values(BASIS(two)) - model.values(BASIS(one))
    assert gain == pytest.approx(float(difference[0]), abs=1e-9)


@pytest.mark.parametrize("kind", ["tied", "removable", "unlimited"])
def test_a_climb_stays_within_the_limits_and_never_falls(kind: str) -> None:
    problem = PROBLEMS[kind]
    lattice = Lattice(problem.space)
    basis, rng = Basis(lattice), np.random.default_rng(0)
    start = np.repeat(lattice.narrowest(), 3, axis=0)
    index = lattice.draw(rng, 60)
    surrogate = Surrogate(basis, index, target(index), (0, 0), tune=False)
    models = [surrogate.mean(), surrogate.sample(rng), surrogate.sample(rng)]
    tight = np.array([1.0, 1.0, 0.9])
    limits = Limits(Sampler(problem))
    for at, found in enumerate(
        climb(limits, basis, models, start, tight=tight, rounds=30)
    ):  # fmt: skip
        assert (limits.shares(found.rows) <= tight[at]).all()
        assert found.values == pytest.approx(models[at].values(basis(found.rows)))
        assert found.values.max() > found.values[0]


def test_a_climb_ends_at_the_optimum_of_a_small_space() -> None:
    network = NetworkSpec(depths=(1, 1), width=0.25, resolution=32, classes=10)
    space = SearchSpace.from_ratios(network, [0.25, 0.5, 0.75, 1.0])
    problem = Problem(
        space=space,
        metrics={"macs": lambda rows: macs(network, rows)},
        constraints=(Constraint(metric="macs", limit=4e5),),
    )
    lattice = Lattice(space)
    every = lattice.everything()
    basis = Basis(lattice)
    model = Surrogate(basis, every[::7], target(every[::7]), (2, 0), tune=False).mean()
    fits = problem.excess(lattice.rows(every)) == 0
    best = model.values(basis(every[fits])).max()
    starts = np.concatenate([lattice.smallest(), every[fits][::200]])
    found = climb(
        Limits(Sampler(problem)), basis, [model] * len(starts), starts,
        tight=np.ones(len(starts)), rounds=60,
    )  # fmt: skip
    assert max(f.values.max() for f in found) == pytest.approx(best)


def evaluations_to(name: str, share: float, seed: int) -> int:
    """Evaluations until `share` of the way from the median to the best feasible value."""
    problem = PROBLEMS["tied"]
    lattice = Lattice(problem.space)
    every = lattice.everything()
    values = target(every[problem.excess(lattice.rows(every)) == 0])
    goal = np.median(values) + share * (values.max() - np.median(values))
    searcher, count = load(name, problem, seed), 0
    while configs := searcher.ask(10):
        found = target(lattice.index(configs)).tolist()
        if max(found) >= goal:
            return count + 1 + int(np.argmax(np.array(found) >= goal))
        count += len(found)
        searcher.tell(
            [
                Candidate(config=c, costs={}, estimate=e)
                for c, e in zip(configs, found, strict=True)
            ]
        )  # fmt: skip
    return count


def test_the_predictor_needs_fewer_evaluations_than_evolution() -> None:
    needed = {
        name: sorted(evaluations_to(name, 1.0, seed) for seed in range(5))[2]
        for name in ("predictor", "evolution", "random")
    }
    assert needed["predictor"] <= 120
    assert needed["predictor"] < needed["evolution"] < needed["random"]


@pytest.mark.parametrize(
    ("option", "value"), [("first", 1), ("climbs", 0), ("explore", 1.5), ("most", 1)]
)
def test_options_are_checked(option: str, value: float) -> None:
    with pytest.raises(SearchError, match=option):
        load("predictor", PROBLEMS["tied"], 0, **{option: value})


def test_a_front_lies_below_the_limits() -> None:
    problem = PROBLEMS["tied"]
    lattice = Lattice(problem.space)

    def spread(front: float) -> float:
        searcher = load("predictor", problem, 0, front=front)
        rows = []
        for _ in range(12):
            configs = searcher.ask(16)
            index = lattice.index(configs)
            rows.append(index)
            searcher.tell(
                [
                    Candidate(config=c, costs={}, estimate=e)
                    for c, e in zip(configs, target(index).tolist(), strict=True)
                ]
            )  # fmt: skip
        shares = Limits(Sampler(problem)).shares(np.concatenate(rows[4:])).max(axis=1)
        return float(np.mean(shares < 0.95))

    assert spread(1.0) > spread(0.0) + 0.1
    assert NETWORK.depths == (1, 2)
    assert stepped(lattice.rows(lattice.smallest())).shape == (1,)
