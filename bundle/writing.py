"""Writing a bundle: a folder with its manifest, and the same as one archive."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

from bundle.manifest import LIMITS, MANIFEST, BundleError, check_names, manifest

_NEVER = (1980, 1, 1, 0, 0, 0)


def seal(folder: Path) -> None:
    """Writes the manifest of a folder that holds everything else; it is written last.

    Raises:
        BundleError: a file is missing, too large, or does not belong there.
    """
    names = [path.name for path in folder.iterdir() if path.name != MANIFEST]
    check_names([*names, MANIFEST], folder)
    for name in names:
        if (folder / name).stat().st_size > LIMITS[name]:
            raise BundleError(f"{folder}: {name} has more than {LIMITS[name]} bytes")
    text = json.dumps(manifest(folder), indent=1, sort_keys=True) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def pack(folder: Path, path: Path) -> None:
    """A sealed folder as one archive, whole or not there; the same files give the same bytes."""
    temporary = path.with_name(path.name + ".tmp")
    with zipfile.ZipFile(temporary, "w") as archive:
        for name in sorted(entry.name for entry in folder.iterdir()):
            info = zipfile.ZipInfo(name, date_time=_NEVER)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o100644 << 16
            info.create_system = 3
            with (folder / name).open("rb") as file, archive.open(info, "w") as packed:
                while chunk := file.read(1 << 20):
                    packed.write(chunk)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
