"""A latency table as a pandas frame, CSV or Parquet, and back: all of it, nothing is lost.

One line per row, chain and network. What belongs to the table as a whole (target, network,
protocol, sentinel, roof, fit) is in `frame.attrs["stairprune"]`; in a CSV file it is the first
line, a comment that `pandas.read_csv(path, comment="#")` skips; in a Parquet file it is where
pandas keeps attrs. Files hold lists as JSON text, so that every column is flat and its size known
before it is read. What a value must be is `latency_tables.table_file`'s matter, and what a Parquet
file may be that of `latency_tables.parquet_file`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import pandas as pd

from latency_tables import parquet_file
from latency_tables.checks import document, mapping, one_line, text
from latency_tables.files import replace_with
from latency_tables.table import LatencyTable, TableError, Target
from latency_tables.table_file import (
    HEAVIEST,
    SCHEMA,
    Entry,
    at,
    head,
    loads,
    read_json,
    read_text,
    sections,
    table_of,
    weight,
)
from supernet.config import brief
from supernet.network import NetworkSpec
from supernet.shapes import BlockShape, HeadShape, Shape, StemShape, parse_shape

HEAD = "stairprune"
PREFIX = f"# {HEAD}: "
FORMATS = (".json", ".csv", ".parquet")
SECTION = {"row": "rows", "chain": "chains", "network": "networks"}
AXES = {"stem": StemShape.axes, "block": BlockShape.axes, "head": HeadShape.axes}
WIDTHS = BlockShape.axes
FIGURES = ("median", "lo", "hi")
LISTS = ("rounds", "levels", "flags", "notes")
COLUMNS = (
    *("kind", "geometry", *WIDTHS, "macs", *FIGURES, "isolated", *LISTS),
    *("role", "config", "pieces"),
)
REQUIRED = ("kind", "geometry", *WIDTHS, *FIGURES, "rounds")
DTYPES = {
    **dict.fromkeys(COLUMNS, "string"),
    **dict.fromkeys((*WIDTHS, "macs"), "Int64"),
    **dict.fromkeys((*FIGURES, "isolated"), "float64"),
    **dict.fromkeys(LISTS, "object"),
}
LARGEST = (1 << 63) - 1
LONGEST_LINE = 4 << 20  # characters of a CSV file's line
LONGEST_CELL = 1 << 17  # characters of a list or config as JSON text; csv's own limit

Record = Mapping[str, object]


def to_pandas(table: LatencyTable) -> pd.DataFrame:
    """Everything in a table as one frame: its rows, sorted, then its chains and networks.

    Columns: `kind` (row, chain or network); geometry and cin, w1, w2, cout of a row, missing where
    a piece has no such width; macs, missing where they exceed 64 bits; median, lo and hi in ms, and
    isolated of a row measured inside chains; rounds, levels, flags and notes as lists; role and
    config (JSON text) of a network; pieces (JSON text) of a chain.
    """
    items = sections(table)
    records = [
        *(_row_record(item) for item in items["rows"]),
        *(
            _record("chain", item, pieces=_text(item["pieces"]), macs=_macs(chain.pieces))
            for item, chain in zip(items["chains"], table.chains, strict=True)
        ),
        *(
            _record("network", item, config=_text(item["config"]), role=item["role"],
                    macs=_macs(table.network.shapes(network.config)))
            for item, network in zip(items["networks"], table.networks, strict=True)
        ),
    ]  # fmt: skip
    columns = {name: [record.get(name) for record in records] for name in COLUMNS}
    frame = pd.DataFrame(columns, dtype=object).astype(DTYPES)
    frame.attrs[HEAD] = head(table)
    return frame


def from_pandas(
    frame: pd.DataFrame, *, target: Target | None = None, network: NetworkSpec | None = None
) -> LatencyTable:
    """The table of a frame as `to_pandas` gives it, or as pandas reads our files.

    Lists may be lists, arrays or JSON text. `macs` and columns of other names are ignored;
    isolated, levels, flags, notes, role, config and pieces may be left out where nothing needs
    them.

    Args:
        frame: with the table as a whole in `attrs["stairprune"]`.
        target, network: instead of what attrs say; needed where attrs are lost.

    Raises:
        TableError: a column is missing or a line is invalid; names the line, counted from 0.
    """
    names = _checked_names(list(frame.columns))
    lines = frame.itertuples(index=False, name=None)
    records = ((f"line {n}", dict(zip(names, line, strict=True))) for n, line in enumerate(lines))
    return _table(frame.attrs.get(HEAD), records, target, network)


def export(table: LatencyTable, path: Path) -> None:
    """Writes the whole table as `.json`, `.csv` or `.parquet`, by the suffix.

    Raises:
        TableError: another suffix, or Parquet without pyarrow.
    """
    match _format(path):
        case ".json":
            table.save(path)
        case ".csv":
            frame = to_pandas(table)
            replace_with(path, lambda file: _write_csv(frame, file))
        case _:
            frame = _flat(to_pandas(table))
            replace_with(path, lambda file: parquet_file.write(frame, file))


def load_any(path: Path) -> LatencyTable:
    """Reads a table from what `export` wrote: `.json`, `.csv` or `.parquet`, by the suffix.

    Raises:
        TableError: unreadable or invalid; the message names the file and the place.
    """
    reader = {".json": _read_json, ".csv": _read_csv, ".parquet": _read_parquet}[_format(path)]
    try:
        return reader(path)
    except TableError as error:
        raise TableError(f"{path}: {error}") from None


def _row_record(item: dict[str, Any]) -> Record:
    shape = parse_shape(item["geometry"], tuple(item["widths"]))
    widths = dict(zip(shape.axes, shape.widths, strict=True))
    return _record("row", item, geometry=shape.geometry, macs=_macs([shape]), **widths)


def _record(kind: str, item: dict[str, Any], **more: object) -> Record:
    figures = {name: item.get(name) for name in (*FIGURES, "isolated")}
    return {"kind": kind, **figures, **{n: item.get(n, []) for n in LISTS}, **more}


def _macs(shapes: Iterable[Shape]) -> int | None:
    total = sum(shape.macs for shape in shapes)
    return total if total <= LARGEST else None


def _text(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _format(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise TableError(f"a table file is one of {', '.join(FORMATS)}, but got {path.name!r}")
    return suffix


def _flat(frame: pd.DataFrame) -> pd.DataFrame:
    """Lists as JSON text."""
    return frame.assign(**{name: frame[name].map(_text).astype("string") for name in LISTS})


def _checked_names(names: Sequence[object]) -> list[str]:
    if missing := [name for name in REQUIRED if name not in names]:
        raise TableError(f"columns {missing} are missing; a table's frame has {list(COLUMNS)}")
    if twice := [name for name in COLUMNS if names.count(name) > 1]:
        raise TableError(f"columns {twice} appear more than once")
    return [str(name) for name in names]


def _table(
    found: object,
    records: Iterable[tuple[str, Record]],
    target: Target | None = None,
    network: NetworkSpec | None = None,
) -> LatencyTable:
    with at(f"attrs[{HEAD!r}]"):
        about = {"schema": SCHEMA, "protocol": {}, "sentinel": []}
        about.update(mapping("it", {} if found is None else found))
    for name, given in (("target", target), ("network", network)):
        if given is not None:
            about[name] = json.loads(json.dumps(asdict(given)))
    if missing := [name for name in ("target", "network") if name not in about]:
        raise TableError(
            f"{' and '.join(missing)} missing in the frame's attrs[{HEAD!r}], which pandas drops "
            f"in some operations and does not read from CSV; give {'= and '.join(missing)}="
        )
    return table_of(about, _entries(records))


def _entries(records: Iterable[tuple[str, Record]]) -> Iterator[Entry]:
    for place, record in records:
        with at(place):
            kind = _cell(record["kind"])
            if not isinstance(kind, str) or kind not in SECTION:
                raise ValueError(f"kind must be row, chain or network, got {brief(kind)}")
            item = _item(kind, record)
        yield place, SECTION[kind], item


def _item(kind: str, record: Record) -> dict[str, Any]:
    """A line in the table file's form; what is missing is left out and found missing there."""
    item = {name: _json(record.get(name)) for name in (*FIGURES, "isolated", *LISTS)}
    item = {"flags": [], **{k: v for k, v in item.items() if v is not None}}
    if kind == "row":
        geometry = text("geometry", _cell(record["geometry"]))
        widths = {axis: _whole(_json(record[axis])) for axis in WIDTHS}
        axes = AXES.get(geometry.partition(":")[0], WIDTHS)
        for axis in WIDTHS:
            if (widths[axis] is None) == (axis in axes):
                verb = "needs a" if axis in axes else "has no"
                raise ValueError(f"{geometry} {verb} {axis}, got {brief(widths[axis])}")
        return {**item, "geometry": geometry, "widths": [widths[axis] for axis in axes]}
    for name in ("pieces",) if kind == "chain" else ("config", "role"):
        value = record.get(name)
        item[name] = _cell(value) if name == "role" else _json(value)
    return item


def _bare(value: object) -> object:
    """A value as plain Python."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    return list(value) if isinstance(value, tuple) else value


def _cell(value: object) -> object:
    """The same of a frame's cell; None where it is missing."""
    value = _bare(value)
    missing = value is pd.NA or value is pd.NaT or value == "" or value != value
    return None if missing else value


def _json(value: object) -> object:
    """The same of a cell that may be JSON text."""
    value = _cell(value)
    if not isinstance(value, str):
        return [_bare(inner) for inner in value] if isinstance(value, list) else value
    if len(value) > LONGEST_CELL:
        raise ValueError(f"a cell has at most {LONGEST_CELL} characters, got {len(value)}")
    try:
        return document(value)
    except ValueError as error:
        raise ValueError(f"{brief(value)} is not JSON: {one_line(error)}") from None


def _whole(value: object) -> object:
    """Widths beside missing ones are floats to pandas."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _read_json(path: Path) -> LatencyTable:
    return loads(read_text(path))


def _write_csv(frame: pd.DataFrame, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(f"{PREFIX}{json.dumps(frame.attrs[HEAD])}\n")
        _flat(frame).to_csv(file, index=False, lineterminator="\n")


def _read_csv(path: Path) -> LatencyTable:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = _lines(file)
            first = next(lines, "")
            if not first.startswith(PREFIX):
                raise TableError(
                    f"the first line must start with {PREFIX!r}, got {brief(first)}; without it, "
                    "read the file with pandas and give target= and network= to from_pandas"
                )
            found = read_json(first.removeprefix(PREFIX))
            return _table(found, _csv_records(csv.reader(lines, strict=True)))
    except (OSError, ValueError, csv.Error) as error:
        raise TableError(one_line(error)) from None


def _csv_records(reader: Any) -> Iterator[tuple[str, Record]]:
    names = _checked_names(next(reader, []))
    for cells in reader:
        place = f"line {reader.line_num + 1}"
        if len(cells) != len(names):
            raise TableError(f"{place}: {len(names)} cells are needed, got {len(cells)}")
        yield place, dict(zip(names, cells, strict=True))


def _lines(file: TextIO) -> Iterator[str]:
    heavy = 0
    while line := file.readline(LONGEST_LINE + 1):
        heavy += weight(line)
        if len(line) > LONGEST_LINE or heavy > HEAVIEST:
            raise TableError(
                f"too large: a line has at most {LONGEST_LINE} characters, and a table takes at "
                f"most {HEAVIEST >> 20} MB to read"
            )
        yield line


def _read_parquet(path: Path) -> LatencyTable:
    attrs, names, lines = parquet_file.read(path)
    names = _checked_names(names)
    records = ((f"line {n}", dict(zip(names, line, strict=True))) for n, line in enumerate(lines))
    return _table(read_json(attrs).get(HEAD), records)
