"""YAML of plain values: maps with text keys, lists, texts, numbers, true, false and null.

Refuses what is unsafe or ambiguous in YAML: anchors and aliases (a page of them can stand for
gigabytes), tags, keys that appear twice, numbers beyond 64 bits. A date is a text. Knows nothing
of jobs.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Hashable
from typing import Any

import yaml

MOST = 1 << 16  # characters; the longest job of ours has some thousand
DEEPEST = 20
KINDS = {f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float")}
LARGEST = (1 << 63) - 1


def read(text: str) -> Any:
    """What a YAML text says.

    Raises:
        ValueError: not YAML of plain values; the message is one line.
    """
    if len(text) > MOST:
        raise ValueError(f"a job has at most {MOST} characters, got {len(text)}")
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())[:300]) from None


class _Loader(yaml.SafeLoader):
    """Refuses while composing, before anything is built."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise _refusal("anchors (&) and aliases (*) are not allowed", event)
        if event.tag is not None:
            raise _refusal("tags (!) are not allowed", event)
        if self.depth >= DEEPEST:
            raise _refusal(f"nested more than {DEEPEST} levels deep", event)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        keys = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:str":
                raise _refusal("a key must be text; put it in quotes", key)
            if key.value in keys:
                raise _refusal(f"key {key.value[:60]!r} appears twice", key)
            keys.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_number(self, node: Any) -> int | float:
        integer = node.tag.endswith(":int")
        try:
            found = self.construct_yaml_int(node) if integer else self.construct_yaml_float(node)
        except ValueError:  # "0x_", or more digits than Python reads
            found = math.nan
        if not abs(found) <= (LARGEST if integer else sys.float_info.max):
            raise _refusal("not a finite number of at most 64 bits", node)
        return found


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag in KINDS]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _Loader.construct_number)


def _refusal(words: str, place: Any) -> yaml.YAMLError:
    mark = place.start_mark
    return yaml.YAMLError(f"line {mark.line + 1}, column {mark.column + 1}: {words}")
