"""`Searcher` (ask/tell), the types every searcher shares, and how searchers are found.

To add one, put a file into `search/searchers/` with a class `Plugin` of this protocol.
The loop, the budget of evaluations and the storage live outside, in `search.loop`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, Protocol

import search.searchers
from search.problem import Problem
from search.problem import SearchError as SearchError
from supernet.config import ChannelConfig

Evaluator = Callable[[ChannelConfig], float]
"""Estimated accuracy of a config, higher is better; a lambda in tests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A config with what it costs and, once told, its estimate (None before).

    Attributes:
        failure: why its evaluation gave no estimate; None where it was not tried or did.
    """

    config: ChannelConfig
    costs: dict[str, float]
    estimate: float | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionHelp:
    """One option of a searcher, for `--help` and the web page."""

    name: str
    type: str
    default: Any
    help: str


class Searcher(Protocol):
    """Proposes feasible configs and learns from their estimates.

    Created as `Plugin(problem, seed, **options)`; the options are the fields of the dataclass
    `Options` in the same file, each with a default and `metadata={"help": ...}`.
    `state`/`restore` carry everything that decides the next ask (including the random generator)
    as JSON-able data, so that a search that was killed between two tells continues exactly.
    """

    summary: str

    def ask(self, n: int) -> Sequence[ChannelConfig]:
        """Up to `n` new, distinct, feasible configs; empty when nothing new is left."""

    def tell(self, candidates: Sequence[Candidate]) -> None:
        """Takes the estimates of what was asked, in the order asked; None where one failed."""

    def state(self) -> dict[str, Any]:
        """Everything that decides what comes next."""

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""


def names() -> list[str]:
    """Names of all searchers in `search/searchers/`."""
    return sorted(module.name for module in pkgutil.iter_modules(search.searchers.__path__))


def describe(name: str) -> tuple[str, tuple[OptionHelp, ...]]:
    """One line on searcher `name`, and its options.

    Raises:
        SearchError: no such searcher.
    """
    module = _module(name)
    options = tuple(
        OptionHelp(
            name=field.name,
            type=str(field.type),
            default=field.default_factory()
            if field.default_factory is not MISSING
            else field.default,
            help=str(field.metadata["help"]),
        )
        for field in fields(module.Options)
    )
    return str(module.Plugin.summary), options


def load(name: str, problem: Problem, seed: int, **options: Any) -> Searcher:
    """A new searcher called `name`.

    Raises:
        SearchError: no such searcher, or an option it does not have.
    """
    valid = [option.name for option in describe(name)[1]]
    if wrong := sorted(set(options) - set(valid)):
        raise SearchError(
            f"options of searcher {name} are {', '.join(valid) or 'none'}, "
            f"but got {', '.join(wrong)}"
        )
    searcher: Searcher = _module(name).Plugin(problem, seed, **options)
    return searcher


def _module(name: str) -> Any:
    if name not in names():
        raise SearchError(f"searcher must be one of {', '.join(names())}, but got {name!r}")
    return importlib.import_module(f"search.searchers.{name}")
