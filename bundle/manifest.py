"""What a bundle holds: a closed list of file names, each with its sha256 and size.

Names are never taken from a file: a bundle has these and no others, so no name can lead out of it.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MANIFEST = "MANIFEST.json"
CLAIMS = "bundle.json"
WEIGHTS = "weights.safetensors"
ONNX = "model.onnx"
INT8 = "model.int8.onnx"
FILES = {"fp32": ONNX, "int8": INT8}
"""ONNX files by precision."""
SCHEMA = 1
MEGABYTE = 1 << 20
LIMITS = {
    MANIFEST: MEGABYTE // 4,
    CLAIMS: MEGABYTE,
    WEIGHTS: 2048 * MEGABYTE,
    ONNX: 2048 * MEGABYTE,
    INT8: 2048 * MEGABYTE,
    "recipe.yaml": MEGABYTE // 4,
    "environment.json": MEGABYTE // 4,
    "README.md": MEGABYTE // 4,
    "NOTICE.txt": MEGABYTE // 4,
}
"""Every name that may be there, and how many bytes it may have."""
NEEDED = set(LIMITS) - {INT8}


class BundleError(ValueError):
    """A bundle that cannot be trusted, or cannot be written; the message says which rule broke."""


def brief(error: object) -> str:
    """What another library says of an error, as one short line."""
    return " ".join(str(error).split())[:200]


def manifest(folder: Path) -> dict[str, Any]:
    """The manifest of the files in `folder`."""
    names = sorted(path.name for path in folder.iterdir() if path.name != MANIFEST)
    return {"schema": SCHEMA, "files": {name: _entry(folder / name) for name in names}}


def check_names(names: list[str], source: Path) -> None:
    """Holds the names of a folder or archive to the closed list.

    Raises:
        BundleError: one is unknown, missing or there twice.
    """
    for name in names:
        if name not in LIMITS:
            raise BundleError(f"{source}: {name!r:.120} does not belong into a bundle")
    if doubled := sorted(name for name, times in Counter(names).items() if times > 1):
        raise BundleError(f"{source}: {doubled[0]} is there more than once")
    if missing := sorted(NEEDED - set(names)):
        raise BundleError(f"{source}: {missing[0]} is missing")


def check_files(folder: Path, source: Path) -> None:
    """Holds the files in `folder` to its manifest.

    Raises:
        BundleError: the manifest cannot be read, or a file differs from it.
    """
    data = parsed(folder / MANIFEST, source)
    files = data.get("files")
    if data.get("schema") != SCHEMA or not isinstance(files, Mapping):
        raise BundleError(f"{source}: {MANIFEST} must have schema {SCHEMA} and files")
    found = {path.name for path in folder.iterdir()} - {MANIFEST}
    if different := sorted(set(files) ^ found):
        raise BundleError(f"{source}: {different[0]!r:.120} is in {MANIFEST} or here, but not both")
    for name in sorted(found):
        if files[name] != _entry(folder / name):
            raise BundleError(f"{source}: {name} is not what {MANIFEST} says: changed or damaged")


def parsed(path: Path, source: Path) -> dict[str, Any]:
    """A JSON object from a file of a bundle.

    Raises:
        BundleError: no JSON, too deep, or no object.
    """
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{source}: {path.name} is not JSON: {brief(error)}") from None
    if not isinstance(data, dict):
        raise BundleError(f"{source}: {path.name} must be an object")
    return data


def _entry(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"sha256": digest, "bytes": path.stat().st_size}
