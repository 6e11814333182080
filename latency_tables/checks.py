"""Type checks for values read from a file; each returns the value or raises ValueError.

Also the one strict reader of JSON text, and what a message may show of a bad value. Knows nothing
of what a table holds.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from supernet.config import brief, unique
from supernet.shapes import MOST, Shape, parse_shape

LONGEST_TEXT = 10_000  # characters of a name, a flag or a driver's description
LONGEST_NUMBER = 100  # characters; a float has 24 at most
LONGEST_MESSAGE = 300  # characters
DEEPEST = 20  # levels of free-form JSON
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


def document(source: str) -> Any:
    """What a JSON text says. Stricter than JSON: keys appear once, numbers are finite and short.

    Raises:
        ValueError: not such a text.
    """
    try:
        return _DECODER.decode(source)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def one_line(error: object) -> str:
    """An error's message, short and on one line."""
    return " ".join(str(error)[:LONGEST_MESSAGE].split())


def whole(name: str, value: object, most: int) -> int:
    """A whole number in 1..most."""
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most:
        return value
    raise ValueError(f"{name} must be a whole number in 1..{most}, got {brief(value)}")


def latency(name: str, value: object) -> float:
    """A finite number > 0, in ms."""
    found = _finite(value)
    if found is not None and found > 0:
        return found
    raise ValueError(f"{name} must be a finite latency > 0 ms, got {brief(value)}")


def positive(name: str, value: object) -> float:
    """A finite number > 0."""
    found = _finite(value)
    if found is not None and found > 0:
        return found
    raise ValueError(f"{name} must be a finite number > 0, got {brief(value)}")


def number(name: str, value: object) -> float:
    """A finite number."""
    found = _finite(value)
    if found is not None:
        return found
    raise ValueError(f"{name} must be a finite number, got {brief(value)}")


def text(name: str, value: object) -> str:
    """A string that can be written to any file and shown in a terminal."""
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a string, got {brief(value)}")
    if len(value) > LONGEST_TEXT:
        raise ValueError(f"{name} must have at most {LONGEST_TEXT} characters, got {len(value)}")
    if UNPRINTABLE.search(value):
        raise ValueError(
            f"{name} must hold neither control characters nor lone surrogates, got {brief(value)}"
        )
    return value


def array(name: str, value: object, most: int | None = None) -> list[Any]:
    """A JSON array, of at most `most` values where that is given."""
    if not isinstance(value, list):
        raise ValueError(f"{name} must be an array, got {brief(value)}")
    if most is not None and len(value) > most:
        raise ValueError(f"{name} must hold at most {most} values, got {len(value)}")
    return value


def mapping(name: str, value: object) -> dict[str, Any]:
    """A JSON object."""
    if isinstance(value, dict):
        return value
    raise ValueError(f"{name} must be an object, got {brief(value)}")


def plain(name: str, value: object, levels: int = DEEPEST) -> Any:
    """Free-form JSON that any JSON reader understands, at most `levels` deep."""
    if levels == 0:
        raise ValueError(f"{name} is nested more than {DEEPEST} levels deep")
    if isinstance(value, dict):
        for key, inner in value.items():
            plain(name, inner, levels - 1)
            text(f"a key of {name}", key)
    elif isinstance(value, list):
        for inner in value:
            plain(name, inner, levels - 1)
    elif isinstance(value, str):
        text(name, value)
    elif value is not None and not isinstance(value, bool):
        number(name, value)
    return value


def shape(geometry: object, widths: object) -> Shape:
    """A shape by its geometry and widths."""
    known = array("widths", widths)
    if len(known) > 4:
        raise ValueError(f"a shape has at most 4 widths, got {len(known)}")
    return parse_shape(text("geometry", geometry), tuple(whole("a width", w, MOST) for w in known))


def _finite(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number a file may hold")


def _int(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise ValueError(f"a number of {len(digits)} digits is too long")
    return int(digits)


def _float(digits: str) -> float:
    found = float(digits) if len(digits) <= LONGEST_NUMBER else math.inf
    if not math.isfinite(found):
        raise ValueError(f"{brief(digits)} is no number a file may hold")
    return found


_DECODER = json.JSONDecoder(
    object_pairs_hook=unique, parse_constant=_constant, parse_int=_int, parse_float=_float
)
