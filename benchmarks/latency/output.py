"""What the scripts of this folder share: arguments, table headers, JSON files, printed tables.

Knows nothing of predictors. Not run by itself; see `benchmarks.latency.rivals`.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.latency.cases import Case
from latency_tables.files import replace_with
from latency_tables.shipped import find
from latency_tables.table import LatencyTable, TableError

BLUE, GREY = "#1f5fa8", "#8a8f98"
WIDTH = 160  # characters of a printed table, wherever it is printed to
RESULTS = Path(__file__).parent.parent / "results"
ENVIRONMENT = Path(__file__).parent.parent.parent / "runs" / "nn-meter"


def parser(module: str, description: str | None) -> argparse.ArgumentParser:
    """The arguments that all scripts have."""
    found = argparse.ArgumentParser(
        prog=f"python -m benchmarks.latency.{module}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    found.add_argument("table", type=_table, help="a table file, or the name of a shipped table")
    found.add_argument("--quick", action="store_true", help="fewer draws and sizes; one minute")
    found.add_argument(
        "--out",
        type=Path,
        default=RESULTS / f"latency-{module}.json",
        help="JSON file; the plot beside it has the suffix .png (default: %(default)s)",
    )
    found.add_argument(
        "--nn-meter",
        type=Path,
        default=ENVIRONMENT,
        help="environment made by benchmarks.latency.nn_meter_env; without it a stand-in runs "
        "(default: %(default)s)",
    )
    return found


def _table(name: str) -> Path:
    try:
        return find(name)
    except TableError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def about(case: Case, path: Path) -> dict[str, Any]:
    """What a result was computed from."""
    table: LatencyTable = case.table
    target = table.target
    return {
        "file": path.name,
        "fingerprint": table.fingerprint,
        "device": target.device,
        "runtime": f"{target.runtime} {target.runtime_version}",
        "precision": target.precision,
        "batch": target.batch,
        "threads": target.threads,
        "rows": len(case.rows),
        "rows_flagged": sum(bool(row.flags) for row in table.rows.values()),
        "chains": len(table.chains),
        "networks_fit": len(case.fit),
        "networks_held_out": len(case.held_out),
        "networks_left_aside": case.left_aside,
        "networks_aligned": int(case.aligned.sum()),
    }


def write_json(path: Path, result: Mapping[str, Any]) -> None:
    """Writes a result whole or not at all; nan becomes null, which JSON has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_plain(result), indent=1) + "\n"
    replace_with(path, lambda file: file.write_text(text, encoding="utf-8"))


def write_png(path: Path, figure: Figure) -> None:
    """Saves a plot without a display."""
    path.parent.mkdir(parents=True, exist_ok=True)
    FigureCanvasAgg(figure)
    replace_with(path, lambda file: figure.savefig(file))


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table; the first column is text, the others numbers."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    Console(width=WIDTH).print(table)


def text(value: float | None, digits: int = 2) -> str:
    """A number for a cell; a dash where there is none."""
    return "-" if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def between(ends: Sequence[float] | None, digits: int = 2) -> str:
    """An interval for a cell."""
    return "-" if ends is None else f"{text(ends[0], digits)}..{text(ends[1], digits)}"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value
