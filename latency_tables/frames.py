"""Rows of a latency table as a pandas frame, CSV or Parquet, and back."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import pandas as pd

from latency_tables.files import replace_with
from latency_tables.table import LatencyTable, Measurement, TableError, Target
from supernet.config import ConfigError
from supernet.network import NetworkSpec
from supernet.shapes import Shape, parse_shape

COLUMNS = ("geometry", "widths", "macs", "median", "lo", "hi", "rounds", "flags")
FORMATS = (".csv", ".parquet")


def to_pandas(table: LatencyTable) -> pd.DataFrame:
    """One line per row, sorted as in the file.

    Columns: geometry; widths, rounds and flags as JSON lists; macs; median, lo and hi in ms.
    The target and the network are in `attrs`, as text.
    """
    frame = pd.DataFrame(
        [
            (
                name,
                json.dumps(list(shape.widths)),
                shape.macs,
                row.median,
                row.lo,
                row.hi,
                json.dumps(list(row.rounds)),
                json.dumps(list(row.flags)),
            )
            for name, rows in table.by_geometry().items()
            for shape, row in rows.items()
        ],
        columns=list(COLUMNS),
    )
    frame.attrs.update(target=str(table.target), network=str(table.network))
    return frame


def from_pandas(frame: pd.DataFrame, target: Target, network: NetworkSpec) -> LatencyTable:
    """A table of the frame's rows; `macs` is ignored, since the shape decides it.

    Raises:
        TableError: a column is missing or a line is invalid; names the line.
    """
    if missing := [name for name in COLUMNS if name != "macs" and name not in frame.columns]:
        raise TableError(f"columns {missing} are missing; a frame of rows has {list(COLUMNS)}")
    rows: dict[Shape, Measurement] = {}
    for line, record in enumerate(frame.to_dict("records")):
        try:
            shape, row = _row(record)
        except (ValueError, TypeError, ConfigError) as error:
            raise TableError(f"line {line}: {error}") from None
        if shape in rows:
            raise TableError(f"line {line}: {shape.geometry} {list(shape.widths)} appears twice")
        rows[shape] = row
    return LatencyTable(target=target, network=network, rows=rows)


def export(table: LatencyTable, path: Path) -> None:
    """Writes the rows as `.csv` or `.parquet`, by the suffix.

    Raises:
        TableError: another suffix, or Parquet without pyarrow.
    """
    if path.suffix not in FORMATS:
        raise TableError(f"export writes {' or '.join(FORMATS)}, but got {path.name!r}")
    frame = to_pandas(table)
    if path.suffix == ".csv":
        replace_with(path, lambda file: frame.to_csv(file, index=False))
        return
    if importlib.util.find_spec("pyarrow") is None:
        raise TableError("Parquet needs the package pyarrow, which is not installed; use .csv")
    replace_with(path, lambda file: frame.to_parquet(file, index=False))


def _row(record: dict[Hashable, Any]) -> tuple[Shape, Measurement]:
    shape = parse_shape(str(record["geometry"]), tuple(json.loads(record["widths"])))
    return shape, Measurement(
        median=float(record["median"]),
        lo=float(record["lo"]),
        hi=float(record["hi"]),
        rounds=tuple(float(value) for value in json.loads(record["rounds"])),
        flags=tuple(str(flag) for flag in json.loads(record["flags"])),
    )
