"""`Searcher` (ask/tell), the types every searcher shares, and how searchers are found.

To add one, put a file into `search/searchers/` with a class `Plugin` of this protocol.
The loop, the budget of evaluations and the storage live outside, in `search.loop`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import search.searchers
from search.problem import Problem
from supernet.config import ChannelConfig

Evaluator = Callable[[ChannelConfig], float]
"""Estimated accuracy of a config, higher is better; a lambda in tests."""


class SearchError(ValueError):
    """A search that cannot be run as asked; the message names the field and the valid choices."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A config with what it costs and, once told, its estimate (None before)."""

    config: ChannelConfig
    costs: dict[str, float]
    estimate: float | None = None


class Searcher(Protocol):
    """Proposes feasible configs and learns from their estimates.

    Created as `Plugin(problem, seed, **options)`. `state`/`restore` carry everything that decides
    the next ask (including the random generator) as JSON-able data, so that a search that was
    killed between two tells continues exactly.
    """

    summary: str

    def ask(self, n: int) -> Sequence[ChannelConfig]:
        """Up to `n` new, distinct, feasible configs; empty when nothing new is left."""

    def tell(self, candidates: Sequence[Candidate]) -> None:
        """Takes the estimates of what was asked, in the order asked."""

    def state(self) -> dict[str, Any]:
        """Everything that decides what comes next."""

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""


def names() -> list[str]:
    """Names of all searchers in `search/searchers/`."""
    return sorted(module.name for module in pkgutil.iter_modules(search.searchers.__path__))


def load(name: str, problem: Problem, seed: int, **options: Any) -> Searcher:
    """A new searcher called `name`.

    Raises:
        SearchError: no such searcher, or an option it does not have.
    """
    if name not in names():
        raise SearchError(f"searcher must be one of {', '.join(names())}, but got {name!r}")
    plugin = importlib.import_module(f"search.searchers.{name}").Plugin
    try:
        searcher: Searcher = plugin(problem, seed, **options)
    except TypeError as error:
        raise SearchError(f"options of searcher {name}: {error}") from None
    return searcher
