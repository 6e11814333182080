"""YAML text, checked before it is read: small, shallow, and without references.

A few lines of references to references grow to gigabytes once read; a job needs none.
"""

from __future__ import annotations

from typing import Any

import yaml

MOST = 100_000  # characters
DEEPEST = 40


def read(text: str) -> Any:
    """The document as plain values.

    Raises:
        ValueError: too long, too deep, or with references; names the limit.
        yaml.YAMLError: not YAML.
    """
    if len(text) > MOST:
        raise ValueError(f"it has {len(text)} characters, but may have at most {MOST}")
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"references such as *{event.anchor} are not allowed")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                raise ValueError(f"it is nested deeper than {DEEPEST} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return yaml.safe_load(text)
