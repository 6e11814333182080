"""Which configs a step of supernet training visits; the same for the same seed and step.

Knows nothing of losses or weights. To train for a device, pass the space that its stairs narrowed:
then no step is spent on a width that the search will not use.
"""

from __future__ import annotations

import numpy as np

from supernet.config import ChannelConfig, ConfigError
from supernet.space import SearchSpace
from training.recipe import SupernetRecipe
from training.seeds import derived


def visited(
    space: SearchSpace, recipe: SupernetRecipe, seed: int, step: int
) -> list[ChannelConfig]:
    """The configs of a step; the first learns from the labels, the others from it.

    "sandwich": the largest, the smallest and `recipe.random_subnets` random ones (Yu and Huang
    2019, "Universally Slimmable Networks"). "single": one random config (Guo et al. 2020, "Single
    Path One-Shot"; the PruningNet of MetaPruning, 2019).
    """
    rng = np.random.default_rng(derived("subnets", seed, step))
    if recipe.policy == "single":
        return [_sample(space, recipe.removal, rng)]
    drawn = (_sample(space, recipe.removal, rng) for _ in range(recipe.random_subnets))
    return [space.largest(), space.smallest(), *drawn]


def require_removable(space: SearchSpace, recipe: SupernetRecipe) -> None:
    """Raises ConfigError where blocks shall be removed in a space that keeps them all."""
    if recipe.removal is not None and not any(0 in widths for widths in space.choices):
        raise ConfigError(
            f"removal needs a space with removable blocks, but got removal {recipe.removal} and "
            "a space that keeps every block"
        )


def _sample(space: SearchSpace, removal: float | None, rng: np.random.Generator) -> ChannelConfig:
    if removal is None:
        return space.sample(rng)
    # Untied, a block goes as a whole: one draw for both of its genes.
    genes = [
        rng.choice(widths[1:] if widths[0] == 0 and len(widths) > 1 else widths)
        for widths in space.choices
    ]
    config = space.config(np.array(genes, dtype=np.int64))
    first = 1 + len(space.network.depths)
    per_block = 1 if space.tied else 2
    inner = tuple(
        (0, 0) if 0 in space.choices[first + per_block * at] and rng.random() < removal else pair
        for at, pair in enumerate(config.inner)
    )
    return ChannelConfig(config.stem, config.stages, inner)
