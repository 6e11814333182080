"""Which configs a step visits."""

from __future__ import annotations

from dataclasses import replace

import pytest
from training_toys import REMOVABLE, SPACE, SUPERNET_RECIPE

from supernet.config import ConfigError
from supernet.space import SearchSpace
from training.recipe import RecipeError, SupernetRecipe
from training.visits import require_removable, visited

SANDWICH = replace(SUPERNET_RECIPE, random_subnets=3)
SINGLE = replace(SUPERNET_RECIPE, policy="single")


@pytest.mark.parametrize("recipe", [SANDWICH, SINGLE])
def test_visits_depend_on_seed_and_step_alone(recipe: SupernetRecipe) -> None:
    steps = [visited(SPACE, recipe, 0, step) for step in range(8)]
    assert steps == [visited(SPACE, recipe, 0, step) for step in range(8)]
    assert len({tuple(configs) for configs in steps}) > 1
    assert steps != [visited(SPACE, recipe, 1, step) for step in range(8)]
    assert all(config in SPACE for configs in steps for config in configs)


def test_a_sandwich_is_the_largest_the_smallest_and_random_ones() -> None:
    first = visited(SPACE, SANDWICH, 0, 5)
    assert first[:2] == [SPACE.largest(), SPACE.smallest()]
    assert len(first) == 5
    assert len(visited(SPACE, SINGLE, 0, 5)) == 1


@pytest.mark.parametrize("tied", [True, False])
def test_blocks_go_as_often_as_asked(tied: bool) -> None:
    space = SearchSpace.from_ratios(REMOVABLE.network, [1, 0.5], tied=tied, removable=True)
    for removal, low, high in ((0.0, 0, 0), (1.0, 300, 300), (0.2, 40, 80)):
        recipe = replace(SINGLE, removal=removal)
        configs = [visited(space, recipe, 0, step)[0] for step in range(300)]
        assert all(config in space for config in configs)
        removed = sum(config.inner[2] == (0, 0) for config in configs)
        assert low <= removed <= high
        assert all(config.inner[0] != (0, 0) for config in configs)


def test_removal_needs_a_space_that_allows_it() -> None:
    require_removable(REMOVABLE, replace(SINGLE, removal=0.5))
    require_removable(SPACE, SINGLE)
    with pytest.raises(ConfigError, match=r"removal 0\.5 and a space that keeps every block"):
        require_removable(SPACE, replace(SINGLE, removal=0.5))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"policy": "fair"}, "policy must be one of sandwich, single, but got 'fair'"),
        ({"removal": 1.5}, "0 <= removal <= 1"),
        ({"accumulate": 0}, "1 <= accumulate"),
        ({"accumulate": 32}, "accumulate <= batch must hold, but got 32 and 16"),
    ],
)
def test_bad_recipes_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        replace(SUPERNET_RECIPE, **change)  # type: ignore[arg-type]
