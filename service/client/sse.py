"""Reading server-sent events: lines to messages (HTML standard, 9.2.6)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One event; its data is JSON."""

    kind: str
    data: Any
    id: int | None


def messages(lines: Iterable[str]) -> Iterator[Message]:
    """Messages of a stream; a part without an end is left out, as it will come again."""
    kind, mark = "message", None
    data: list[str] = []
    for line in lines:
        if not line:
            if data:
                yield Message(kind=kind, data=json.loads("\n".join(data)), id=mark)
            kind, data, mark = "message", [], None
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            kind = value
        elif name == "data":
            data.append(value)
        elif name == "id" and value.isascii() and value.isdigit():
            mark = int(value)
