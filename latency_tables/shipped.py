"""Tables that come with the program, by name: examples to open at once, measured on one machine.

They hold for the device in their target and for no other; `LatencyTable.require` says so.
"""

from __future__ import annotations

from pathlib import Path

from latency_tables.table import LatencyTable, TableError

FOLDER = Path(__file__).parent / "data"


def names() -> list[str]:
    """Names of the shipped tables."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def find(name: str) -> Path:
    """The file of a table: a path as given, else a shipped table of that name.

    Raises:
        TableError: neither; names the shipped ones.
    """
    if (path := Path(name)).exists():
        return path
    if name in names():
        return FOLDER / f"{name}.json"
    shipped = ", ".join(names()) or "none"
    raise TableError(f"{name} is neither a file nor a shipped table; shipped: {shipped}")


def load(name: str) -> LatencyTable:
    """Reads the table `find` names: JSON, or by its suffix CSV or Parquet.

    Raises:
        TableError: as in `find`, or not a table.
    """
    path = find(name)
    if path.suffix in (".csv", ".parquet"):
        from latency_tables.frames import load_any  # pandas takes half a second to import

        return load_any(path)
    return LatencyTable.load(path)
