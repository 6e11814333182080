"""`Criterion`: how important each channel of a trained network is; and how criteria are found.

To add one, put a file into `training/criteria/` with a class `Plugin` of this protocol. Starts
without torch, so that a job can be checked against the names.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

import training.criteria
from training.recipe import Recipe

if TYPE_CHECKING:
    from supernet.resnet import ResNet
    from training.data import Data

Floats = npt.NDArray[np.float64]
Importance = Mapping[int, Floats]
"""By column of a population row (`supernet.arithmetic`), the importance of each channel, >= 0 and
comparable between columns. A block that is not there has no columns."""


class CriterionError(ValueError):
    """No such criterion, or one that cannot be computed here; the message names the choices."""


class Criterion(Protocol):
    """One way to say which channels matter.

    Attributes:
        summary: one line with its source.
    """

    summary: str

    def recipe(self, recipe: Recipe) -> Recipe | None:
        """How the network that it looks at is trained, made of the teacher's recipe; None where
        it looks at the teacher itself."""

    def unavailable(self) -> str | None:
        """Why it cannot be computed here, None if it can."""

    def importance(self, net: ResNet, data: Data) -> Importance:
        """Of a trained network in evaluation mode, which is left as it was.

        Args:
            data: for criteria that look at images; the first of its training images are used.
        """


def names() -> list[str]:
    """Names of all criteria in `training/criteria/`."""
    return sorted(module.name for module in pkgutil.iter_modules(training.criteria.__path__))


def parts(name: str) -> list[str]:
    """The criteria of a combination such as "l1+fpgm".

    Raises:
        CriterionError: one of them does not exist, or is named twice.
    """
    found = name.split("+")
    for part in found:
        if part not in names() or found.count(part) > 1:
            raise CriterionError(
                f"criteria are {', '.join(names())}, alone or combined as in 'l1+fpgm', "
                f"but got {name!r}"
            )
    return found


def load(name: str) -> Criterion:
    """The criterion called `name`.

    Raises:
        CriterionError: there is none.
    """
    parts(name)
    module: Any = importlib.import_module(f"training.criteria.{name}")
    criterion: Criterion = module.Plugin()
    return criterion
