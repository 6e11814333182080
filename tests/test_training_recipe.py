"""Recipes and their learning-rate schedule."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.recipe import Recipe, RecipeError, SupernetRecipe, learning_rate


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    epochs = draw(st.integers(1, 40))
    warmup = draw(st.floats(0, 0.99)) * epochs
    return Recipe(
        epochs=epochs, batch=8, lr=draw(st.floats(1e-4, 2)), warmup_epochs=min(warmup, epochs * 0.9)
    )


@given(recipes(), st.integers(1, 50))
def test_rate_rises_to_the_peak_then_falls_towards_zero(recipe: Recipe, steps: int) -> None:
    total = recipe.epochs * steps
    rates = [learning_rate(recipe, step, steps) for step in range(total)]
    assert all(0 < rate <= recipe.lr for rate in rates)
    peak = rates.index(max(rates))
    assert math.isclose(rates[peak], recipe.lr)
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert peak <= round(recipe.warmup_epochs * steps)


def test_rate_by_hand() -> None:
    recipe = Recipe(epochs=3, batch=8, lr=1.0, warmup_epochs=1)
    rates = [learning_rate(recipe, step, 2) for step in range(6)]
    assert rates == pytest.approx([1 / 3, 2 / 3, 1.0, 0.853553, 0.5, 0.146447], abs=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs"),
        ({"epochs": 2.5}, "epochs must be a whole number, but got 2.5"),
        ({"batch": True}, "batch"),
        ({"lr": 0}, "lr must be > 0"),
        ({"lr": math.nan}, "lr"),
        ({"momentum": 1.0}, "momentum"),
        ({"label_smoothing": -0.1}, "label_smoothing"),
        ({"ema": 1}, "ema"),
        ({"alpha": 1.1}, "0 <= alpha <= 1 must hold, but got 1.1"),
        ({"temperature": 0}, "temperature"),
        ({"warmup_epochs": 3}, "warmup_epochs < epochs"),
    ],
)
def test_bad_values_are_refused_in_one_line(change: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message) as error:
        Recipe(**{"epochs": 3, "batch": 8, "lr": 0.1, **change})
    assert "\n" not in str(error.value)


def test_supernet_recipe_checks_its_own_fields() -> None:
    with pytest.raises(RecipeError, match="random_subnets"):
        SupernetRecipe(epochs=3, batch=8, lr=0.1, random_subnets=-1)
