"""Parquet files as lines of plain values, looked through before native code reads them.

A Parquet file of some kilobytes can stand for gigabytes, and pyarrow's view of the metadata ends
the whole process on some damaged files. So the footer and every page header are read here first
(Apache Parquet's `parquet.thrift`, in Thrift's compact protocol) and must add up to little; then
pyarrow decodes some lines at a time. Knows nothing of what the lines mean.
"""

from __future__ import annotations

import importlib.util
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latency_tables.checks import one_line
from latency_tables.guard import dies
from latency_tables.table import TableError
from supernet.config import brief

if TYPE_CHECKING:
    import pandas as pd

MOST_BYTES = 24 << 20  # of a file
MOST_UNPACKED = 32 << 20  # bytes of all pages without compression
MOST_DECODED = 64 << 20  # bytes of all lines
MOST_LINES = 200_000
MOST_VALUES = 100_000  # of a footer; ours have some 500
DEEPEST = 20
BATCH = 4  # lines decoded at once; each may hold the longest text of the file
MAGIC = b"PAR1"
FLAT = ("string", "large_string", "int32", "int64", "float", "double", "bool", "null")


def write(frame: pd.DataFrame, path: Path) -> None:
    """Writes a frame of flat columns, with its attrs.

    Raises:
        TableError: pyarrow is not installed.
    """
    _require_pyarrow()
    frame.to_parquet(path, engine="pyarrow", index=False)


def read(path: Path) -> tuple[str, list[str], Iterator[list[object]]]:
    """What pandas wrote of attrs, as JSON text; the columns' names; and the lines.

    Raises:
        TableError: not a Parquet file of flat columns, or too large; the lines may raise it too.
    """
    _require_pyarrow()
    import pyarrow as pa  # type: ignore[import-untyped]
    from pyarrow.parquet import ParquetFile  # type: ignore[import-untyped]

    try:
        with path.open("rb") as opened:
            data = opened.read(MOST_BYTES + 1)
        _check(data)
        if dies(lambda: _try(data)):
            raise TableError("a damaged Parquet file: it ends the process that reads it")
        file = ParquetFile(pa.BufferReader(data), pre_buffer=False)
        names, kinds = file.schema_arrow.names, file.schema_arrow.types
        for name, kind in zip(names, kinds, strict=True):
            if str(kind) not in FLAT:
                wanted = ", ".join(FLAT)
                raise TableError(f"column {brief(name)} must be one of {wanted}, got {kind}")
        attrs = (file.metadata.metadata or {}).get(b"PANDAS_ATTRS", b"{}").decode("utf-8")
    except (OSError, ValueError, pa.ArrowException) as error:
        raise TableError(one_line(error)) from None
    return attrs, names, _lines(file, pa.ArrowException)


def _require_pyarrow() -> None:
    if importlib.util.find_spec("pyarrow") is None:
        raise TableError(
            "Parquet needs the package pyarrow, which is not installed; "
            "install stairprune[parquet], or use .csv"
        )


def _try(data: bytes) -> None:
    """All that native code does to read a file."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    file = ParquetFile(pa.BufferReader(data), pre_buffer=False)
    deque(_lines(file, pa.ArrowException), maxlen=0)


def _lines(file: Any, fault: type[Exception]) -> Iterator[list[object]]:
    decoded = 0
    try:
        for batch in file.iter_batches(batch_size=BATCH, use_threads=False):
            decoded += batch.nbytes
            if decoded > MOST_DECODED:
                raise TableError(f"too large: its lines take more than {MOST_DECODED} bytes")
            columns = [column.to_pylist() for column in batch.columns]
            yield from (list(line) for line in zip(*columns, strict=True))
    except (OSError, ValueError, OverflowError, fault) as error:
        raise TableError(one_line(error)) from None


def _check(data: bytes) -> None:
    """Raises ValueError unless the file is whole and small enough, once unpacked."""
    if len(data) > MOST_BYTES:
        raise ValueError(f"a table file has at most {MOST_BYTES} bytes")
    if len(data) < 12 or not (data.startswith(MAGIC) and data.endswith(MAGIC)):
        raise ValueError("not a Parquet file")
    end = len(data) - 8
    size = int.from_bytes(data[end : end + 4], "little")
    footer = _Compact(data, max(4, end - size)).struct()
    if _number(footer, 3) > MOST_LINES:
        raise ValueError(f"a table has at most {MOST_LINES} lines, got {footer[3]}")
    unpacked = 0
    for group in _list(footer, 4):
        for column in _list(group, 1):
            unpacked += _unpacked(data, _struct(column, 3))
            if unpacked > MOST_UNPACKED:
                raise ValueError(f"too large: unpacked it has more than {MOST_UNPACKED} bytes")


def _unpacked(data: bytes, column: dict[int, Any]) -> int:
    """Bytes of a column chunk's pages without compression."""
    if _number(column, 5) == 0:  # no values: no page is read, and offsets mean nothing
        return 0
    starts = [_number(column, 9), *([_number(column, 11)] if column.get(11) else [])]
    at, total = min(starts), 0
    end = at + _number(column, 7)
    while at < end and total <= MOST_UNPACKED:
        page = _Compact(data, at)
        header = page.struct()
        at, total = page.at + _number(header, 3), total + _number(header, 2)
    return total


def _number(found: dict[int, Any], field: int) -> int:
    value = found.get(field)
    if isinstance(value, int) and value >= 0:
        return value
    raise ValueError(f"a damaged Parquet file: field {field} is {brief(value)}")


def _list(found: dict[int, Any], field: int) -> list[Any]:
    value = found.get(field)
    if isinstance(value, list) and all(isinstance(inner, dict) for inner in value):
        return value
    raise ValueError(f"a damaged Parquet file: field {field} is no list of structures")


def _struct(found: dict[int, Any], field: int) -> dict[int, Any]:
    value = found.get(field)
    if isinstance(value, dict):
        return value
    raise ValueError(f"a damaged or encrypted Parquet file: field {field} is no structure")


class _Compact:
    """A structure in Thrift's compact protocol, by field number; texts are skipped."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at
        self._left, self._deep = MOST_VALUES, 0

    def struct(self) -> dict[int, Any]:
        self._deep += 1
        if self._deep > DEEPEST:
            raise ValueError("a damaged Parquet file: nested too deeply")
        found: dict[int, Any] = {}
        field = 0
        while head := self._byte():
            field = field + (head >> 4) if head >> 4 else self._signed()
            found[field] = self._value(head & 15)
        self._deep -= 1
        return found

    def _value(self, kind: int) -> Any:
        self._left -= 1
        if self._left < 0:
            raise ValueError(f"a Parquet file's footer has at most {MOST_VALUES} values")
        match kind:
            case 1 | 2:
                return kind == 1
            case 3:
                return self._byte()
            case 4 | 5 | 6:
                return self._signed()
            case 7 | 8:
                length = 8 if kind == 7 else self._varint()
                self.at += length
                return None
            case 9 | 10:
                head = self._byte()
                count = head >> 4 if head >> 4 < 15 else self._varint()
                # Inside a list true and false take a byte each.
                inner = max(head & 15, 3)
                return [self._value(inner) for _ in range(count)]
            case 12:
                return self.struct()
        raise ValueError(f"a damaged Parquet file: no value is of type {kind}")

    def _byte(self) -> int:
        if self.at >= len(self.data):
            raise ValueError("a damaged Parquet file: it ends too early")
        self.at += 1
        return self.data[self.at - 1]

    def _varint(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError("a damaged Parquet file: a number is too long")

    def _signed(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)
