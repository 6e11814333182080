"""The table file: safe JSON, one row a line, sorted; nothing in it is ever executed.

What is read may be anything: sizes are limited before memory is spent on them, and every fault is
a `TableError` that names its place. Schema 1 had neither chains nor levels nor a fit, and is still
read.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from latency_tables.checks import (
    array,
    document,
    latency,
    mapping,
    one_line,
    plain,
    positive,
    shape,
    text,
    whole,
)
from latency_tables.fitted import fitted_from_json, fitted_to_json
from latency_tables.table import (
    ChainRow,
    LatencyTable,
    Measurement,
    NetworkRow,
    Roof,
    TableError,
    Target,
)
from supernet.config import ChannelConfig, brief
from supernet.network import NetworkSpec
from supernet.shapes import MOST, Shape

SCHEMA = 2
READABLE = (1, 2)
SECTIONS = ("networks", "chains", "rows")
KEYS = {"schema", "fingerprint", "target", "network", "protocol", "sentinel", "roof", "fitted"}
MOST_BYTES = 24 << 20  # of a file
HEAVIEST = 250 << 20  # bytes that a text may take in memory once it is read; see `weight`
MOST_ENTRIES = 200_000  # rows, chains and networks
MOST_FIGURES = 2_000_000  # rounds, levels, pieces and widths of all entries
MOST_ROUNDS = 5000
MOST_FLAGS = 20
MOST_NOTES = 20
MOST_VISITS = 100_000  # of the sentinel
LONGEST_CHAIN = 1000

Entry = tuple[str, str, object]
"""Where it stands, the section it belongs to, what it says."""


def dumps(table: LatencyTable) -> str:
    """A table as text."""
    parts = [f'"schema": {SCHEMA}', f'"fingerprint": "{table.fingerprint}"']
    parts.append(_entry("protocol", dict(table.protocol)))
    parts.append(_entry("sentinel", list(table.sentinel)))
    if table.fitted is not None:
        parts.append(_entry("fitted", fitted_to_json(table.fitted)))
    return "{" + ",\n".join([*parts, measured_text(table)]) + "}\n"


def measured_text(table: LatencyTable) -> str:
    """The part of the file that a table's fingerprint stands for."""
    parts = [_entry("target", asdict(table.target)), _entry("network", asdict(table.network))]
    if table.roof is not None:
        parts.append(_entry("roof", asdict(table.roof)))
    items = sections(table)
    parts += [_lines(name, items[name]) for name in SECTIONS]
    return ",\n".join(parts)


def head(table: LatencyTable) -> dict[str, Any]:
    """What the file says of the table as a whole: everything but its sections, as plain JSON."""
    found: dict[str, Any] = {
        "schema": SCHEMA,
        "target": asdict(table.target),
        "network": asdict(table.network),
        "protocol": dict(table.protocol),
        "sentinel": list(table.sentinel),
    }
    if table.roof is not None:
        found["roof"] = asdict(table.roof)
    if table.fitted is not None:
        found["fitted"] = fitted_to_json(table.fitted)
    copy: dict[str, Any] = json.loads(json.dumps(found))  # tuples become lists
    return copy


def sections(table: LatencyTable) -> dict[str, Iterator[dict[str, Any]]]:
    """Networks, chains and rows in the file's form, rows sorted."""
    return {
        "networks": (
            {"config": n.config.to_json(), "role": n.role, **figures_json(n.measurement)}
            for n in table.networks
        ),
        "chains": (
            {"pieces": [_shape_json(s) for s in c.pieces], **figures_json(c.measurement)}
            for c in table.chains
        ),
        "rows": (
            {**_shape_json(s), **figures_json(m)}
            for group in table.by_geometry().values()
            for s, m in group.items()
        ),
    }


def read_text(path: Path) -> str:
    """A file's text, unless it is larger than a table may be.

    Raises:
        TableError: cannot be read, too large or not UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise TableError(f"a table file has at most {MOST_BYTES} bytes")
        return data.decode("utf-8")
    except (OSError, ValueError) as error:
        raise TableError(one_line(error)) from None


def weight(source: str) -> int:
    """About how many bytes a JSON text takes in memory once it is read, at most.

    Counts what can start a value, since two characters of a hostile text may take a hundred bytes.
    """
    return (
        2 * sys.getsizeof(source)
        + 28 * source.count('"')
        + 40 * source.count(",")
        + 112 * source.count(":")
        + 130 * source.count("{")
        + 72 * source.count("[")
    )


def read_json(source: str) -> dict[str, Any]:
    """The JSON object that a text holds.

    Raises:
        TableError: anything else, or it would take too much memory.
    """
    if weight(source) > HEAVIEST:
        raise TableError(f"too large: it would take more than {HEAVIEST >> 20} MB to read")
    try:
        return mapping("it", document(source))
    except ValueError as error:
        raise TableError(f"not a JSON object: {one_line(error)}") from None


def loads(source: str) -> LatencyTable:
    """Reads a table from its text.

    Raises:
        TableError: invalid; the message names the place.
    """
    data = read_json(source)
    return table_of(data, _entries(data))


def table_of(about: dict[str, Any], entries: Iterable[Entry]) -> LatencyTable:
    """A table from what `head` says of it, and its entries in the file's form.

    Raises:
        TableError: invalid; the message names the place.
    """
    _check_keys(about)
    with at("target"):
        target = _target(mapping("target", about["target"]))
    with at("network"):
        network = _network(mapping("network", about["network"]))
    measured = _Entries(network)
    for place, section, item in entries:
        with at(place):
            measured.add(section, mapping("an entry", item))
    with at("sentinel"):
        visits = array("sentinel", about["sentinel"], MOST_VISITS)
        sentinel = tuple(latency("a visit", visit) for visit in visits)
    with at("protocol"):
        protocol = plain("protocol", mapping("protocol", about["protocol"]))
    roof, fitted = None, None
    with at("roof"):
        if "roof" in about:
            roof = _roof(mapping("roof", about["roof"]))
    with at("fitted"):
        if "fitted" in about:
            fitted = fitted_from_json(mapping("fitted", about["fitted"]))
    return LatencyTable(
        target=target,
        network=network,
        rows=measured.rows,
        chains=tuple(measured.chains),
        networks=tuple(measured.networks),
        protocol=protocol,
        sentinel=sentinel,
        roof=roof,
        fitted=fitted,
    )


def measurement_from_json(item: dict[str, Any]) -> Measurement:
    """Figures of one row.

    Raises:
        ValueError, KeyError: a figure is wrong or missing.
    """
    rounds = array("rounds", item["rounds"], MOST_ROUNDS)
    levels = array("levels", item.get("levels", []), MOST_ROUNDS)
    notes = array("notes", item.get("notes", []), MOST_NOTES)
    isolated = item.get("isolated")
    return Measurement(
        median=latency("median", item["median"]),
        lo=latency("lo", item["lo"]),
        hi=latency("hi", item["hi"]),
        rounds=tuple(latency("a round", value) for value in rounds),
        flags=tuple(text("a flag", flag) for flag in array("flags", item["flags"], MOST_FLAGS)),
        levels=tuple(latency("a level", value) for value in levels),
        notes=tuple(text("a note", note) for note in notes),
        isolated=None if isolated is None else latency("isolated", isolated),
    )


def shape_from_json(item: dict[str, Any]) -> Shape:
    """The shape of one row.

    Raises:
        ValueError, KeyError: not a shape.
    """
    return shape(item["geometry"], item["widths"])


@contextmanager
def at(place: str) -> Iterator[None]:
    """Turns what a wrong value raises into a TableError that names the place."""
    try:
        yield
    except KeyError as error:
        raise TableError(f"{place}: key {one_line(error)} is missing") from None
    except (TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        raise TableError(f"{place}: {one_line(error)}") from None


class _Entries:
    """Rows, chains and networks as they are read, with what they amount to."""

    def __init__(self, network: NetworkSpec) -> None:
        self.network = network
        self.rows: dict[Shape, Measurement] = {}
        self.chains: list[ChainRow] = []
        self.networks: list[NetworkRow] = []
        self._figures = 0

    def add(self, section: str, item: dict[str, Any]) -> None:
        found = measurement_from_json(item)
        self._figures += len(found.rounds) + len(found.levels)
        if section == "rows":
            self._add_row(shape_from_json(item), found)
        elif section == "chains":
            pieces = _pieces(item)
            self._figures += 4 * len(pieces)
            self.chains.append(ChainRow(pieces=pieces, measurement=found))
        else:
            row = _network_row(item, self.network, found)
            self._figures += 2 * len(row.config.inner)
            self.networks.append(row)
        entries = len(self.rows) + len(self.chains) + len(self.networks)
        if entries > MOST_ENTRIES or self._figures > MOST_FIGURES:
            raise ValueError(
                f"a table has at most {MOST_ENTRIES} entries and {MOST_FIGURES} figures"
            )

    def _add_row(self, found: Shape, measurement: Measurement) -> None:
        if found in self.rows:
            raise ValueError(f"{found.geometry} {list(found.widths)} appears twice")
        self.rows[found] = measurement


def _entry(name: str, value: object) -> str:
    return f'"{name}": {json.dumps(value, sort_keys=True)}'


def _lines(name: str, items: Iterable[dict[str, Any]]) -> str:
    return f'"{name}": [\n' + ",\n".join(json.dumps(item) for item in items) + "\n]"


def _shape_json(shape: Shape) -> dict[str, Any]:
    return {"geometry": shape.geometry, "widths": list(shape.widths)}


def figures_json(found: Measurement) -> dict[str, Any]:
    """The inverse of `measurement_from_json`; what is not there is left out."""
    figures: dict[str, Any] = {
        "median": found.median,
        "lo": found.lo,
        "hi": found.hi,
        "rounds": list(found.rounds),
        "flags": list(found.flags),
    }
    if found.levels:
        figures["levels"] = list(found.levels)
    if found.notes:
        figures["notes"] = list(found.notes)
    if found.isolated is not None:
        figures["isolated"] = found.isolated
    return figures


def _entries(data: dict[str, Any]) -> Iterator[Entry]:
    for section in SECTIONS:
        with at(section):
            optional = section == "chains"
            items = array(section, data.get(section, []) if optional else data[section])
        for index, item in enumerate(items):
            yield f"{section}[{index}]", section, item


def _check_keys(data: dict[str, Any]) -> None:
    schema = data.get("schema")
    if type(schema) is not int or schema not in READABLE:
        raise TableError(
            f"not a latency table of schema {' or '.join(map(str, READABLE))}: schema is "
            f"{brief(schema)}"
        )
    known = KEYS.union(SECTIONS)
    if unknown := next((key for key in data if key not in known), None):
        raise TableError(f"unknown key {brief(unknown)}; valid: {', '.join(sorted(known))}")


def _target(data: dict[str, Any]) -> Target:
    for name in ("device", "runtime", "runtime_version", "precision"):
        text(name, data[name])
    for name in ("batch", "threads"):
        whole(name, data[name], MOST)
    for name, value in mapping("details", data.get("details", {})).items():
        text("a key of details", name)
        text(f"details.{name}", value)
    return Target(**data)


def _network(data: dict[str, Any]) -> NetworkSpec:
    depths = tuple(whole("a depth", depth, 1000) for depth in array("depths", data["depths"]))
    for name in ("resolution", "channels", "classes"):
        whole(name, data[name], MOST)
    positive("width", data["width"])
    return NetworkSpec(**{**data, "depths": depths})


def _network_row(item: dict[str, Any], network: NetworkSpec, found: Measurement) -> NetworkRow:
    config, role = ChannelConfig.from_json(item["config"]), item["role"]
    network.check(config)
    if role not in ("fit", "held-out"):
        raise ValueError(f"role must be fit or held-out, got {brief(role)}")
    return NetworkRow(config=config, measurement=found, role=role)


def _pieces(item: dict[str, Any]) -> tuple[Shape, ...]:
    pieces = array("pieces", item["pieces"], LONGEST_CHAIN)
    if not pieces:
        raise ValueError(f"a chain has 1 to {LONGEST_CHAIN} pieces, got none")
    return tuple(shape_from_json(mapping("a piece", piece)) for piece in pieces)


def _roof(data: dict[str, Any]) -> Roof:
    return Roof(gmacs=positive("gmacs", data["gmacs"]), gbytes=positive("gbytes", data["gbytes"]))
