"""Searches as Optuna studies, which optuna-dashboard shows.

A trial's parameters are the widths by gene; its constraints are the costs over their limits, less
1, so that 0 is the most. Only what was scored goes there: a storage takes milliseconds a trial.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.problem import SearchError
from search.searcher import Candidate
from supernet.space import SearchSpace

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial


def optuna_module() -> Any:
    """Optuna, quiet.

    Raises:
        SearchError: it is not installed.
    """
    try:
        import optuna
    except ModuleNotFoundError:
        raise SearchError("this needs optuna: pip install optuna") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def storage(where: str) -> BaseStorage:
    """A storage: a database by its URL (sqlite:///searches.db), else a journal file by its path.

    Raises:
        SearchError: it cannot be opened.
    """
    optuna_module()
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend

    try:
        if "://" in where:
            return RDBStorage(where)
        Path(where).parent.mkdir(parents=True, exist_ok=True)
        return JournalStorage(JournalFileBackend(where))
    except Exception as error:  # the many kinds of SQLAlchemy, of its drivers and of the system
        reason = " ".join(str(error).split())[:200]
        raise SearchError(f"storage {where!r} cannot be opened: {reason}") from None


class Mirror:
    """A study in a storage that follows a search trial by trial."""

    def __init__(self, where: str, name: str) -> None:
        self._study: Study = optuna_module().create_study(
            storage=storage(where), study_name=name, direction="maximize", load_if_exists=True
        )
        self._name = name
        self._known = [trial.params for trial in self._study.get_trials(deepcopy=False)]

    def put(self, number: int, trial: FrozenTrial) -> None:
        """Adds trial `number`; what a search that was stopped has added already is left.

        Raises:
            SearchError: the study is of another search.
        """
        if number < len(self._known):
            if self._known[number] != trial.params:
                raise SearchError(
                    f"study {self._name!r} in the storage is of another search; "
                    "use another name or storage"
                )
            return
        self._study.add_trial(trial)
        self._known.append(trial.params)


def trial_of(space: SearchSpace, candidate: Candidate, limits: Mapping[str, float]) -> FrozenTrial:
    """A scored or failed candidate as a finished trial."""
    optuna = optuna_module()
    widths = space.genes([candidate.config])[0].tolist()
    excess = {m: candidate.costs[m] / u - 1 for m, u in limits.items() if m in candidate.costs}
    states = optuna.trial.TrialState
    found: FrozenTrial = optuna.trial.create_trial(
        state=states.FAIL if candidate.estimate is None else states.COMPLETE,
        value=candidate.estimate,
        params=dict(zip(space.names, widths, strict=True)),
        distributions={
            name: optuna.distributions.CategoricalDistribution(choices)
            for name, choices in zip(space.names, space.choices, strict=True)
        },
        user_attrs={**candidate.costs, **({"failure": f} if (f := candidate.failure) else {})},
        constraints=excess,
    )
    return found
