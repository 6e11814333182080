"""A search as a file for other programs: CSV, Parquet, JSON, or a study for optuna-dashboard.

One line per candidate in the order proposed: widths by gene, costs, estimate, failure.
"""

from __future__ import annotations

import json
from pathlib import Path

from latency_tables.files import replace_with
from search.problem import SearchError
from search.stored import Stored
from search.studies import Mirror, trial_of

FORMATS = (".csv", ".parquet", ".json", ".db", ".log")


def export(stored: Stored, path: Path) -> None:
    """Writes the candidates in the format of the suffix.

    `.db` is an SQLite database and `.log` a journal file, both holding an Optuna study of the
    scored candidates.

    Raises:
        SearchError: another suffix, or a package that the format needs is not installed.
    """
    if path.suffix not in FORMATS:
        raise SearchError(f"an export is one of {', '.join(FORMATS)}, but got {path.name!r}")
    if path.suffix in (".db", ".log"):
        _study(stored, path)
        return
    frame = stored.history.to_pandas(stored.space)
    match path.suffix:
        case ".csv":
            replace_with(path, lambda file: frame.to_csv(file, index=False))
        case ".json":
            text = json.dumps(stored.history.to_json(), indent=0)
            replace_with(path, lambda file: file.write_text(text + "\n", encoding="utf-8"))
        case _:
            try:
                replace_with(path, lambda file: frame.to_parquet(file, index=False))
            except ImportError:
                raise SearchError(
                    "Parquet needs pyarrow: pip install 'stairprune[parquet]'"
                ) from None


def _study(stored: Stored, path: Path) -> None:
    if path.exists():
        raise SearchError(f"{path} exists; a study is written to a new file")
    where = f"sqlite:///{path}" if path.suffix == ".db" else str(path)
    mirror = Mirror(where, "stairprune")
    evaluated = [c for c in stored.history.candidates if c.estimate is not None or c.failure]
    for number, candidate in enumerate(evaluated):
        mirror.put(number, trial_of(stored.space, candidate, stored.limits))
