"""The shipped jobs by name."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from service.spec import JobSpec, SpecError, from_data
from service.yaml_text import read


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A shipped job.

    Attributes:
        title: its first comment line.
        spec: as the file has it, without what is left at its default.
    """

    name: str
    title: str
    spec: dict[str, Any]


@cache
def presets() -> tuple[Preset, ...]:
    """All of them, by name. Read once: they are part of the package, and YAML is slow to read."""
    folder = files("configs")
    found = []
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".yaml"):
            text = file.read_text(encoding="utf-8")
            title = text.splitlines()[0].lstrip("# ").rstrip(".")
            spec: Any = read(text)
            found.append(Preset(name=file.name.removesuffix(".yaml"), title=title, spec=spec))
    return tuple(found)


def preset(name: str) -> Preset:
    """One by name.

    Raises:
        SpecError: there is none of that name.
    """
    known = presets()
    for found in known:
        if found.name == name:
            return found
    raise SpecError(
        f"preset must be one of {', '.join(p.name for p in known)}, but got {name!r:.60}"
    )


def changed(name: str, changes: dict[str, Any]) -> JobSpec:
    """A preset with some values changed; `changes` is nested as the spec is.

    Raises:
        SpecError: no such preset, or the changed job is wrong.
    """
    return from_data(_merged(preset(name).spec, changes))


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        merged[key] = _merged(old, value) if both and old is not None else value
    return merged
