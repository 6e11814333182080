"""`opened`: a bundle's files after every check, whether it lies as a folder or as an archive.

Nothing of a bundle is executed, and nothing is written but plain files of known names in a
folder of our own. Sizes are counted while an archive is read, not believed.
"""

from __future__ import annotations

import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bundle import graphs
from bundle.claims import Claims, read
from bundle.manifest import INT8, LIMITS, ONNX, BundleError, brief, check_files, check_names

_CHUNK = 1 << 20
_RATIO = 100
"""Trained weights hardly shrink; JSON by ten. More is made to fill a disk."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """An opened bundle.

    Attributes:
        folder: its files, checked against the manifest; gone when the bundle is closed.
        source: where it came from.
    """

    folder: Path
    source: Path
    claims: Claims

    def file(self, name: str) -> Path | None:
        """A file, if it is there."""
        path = self.folder / name
        return path if path.exists() else None


@contextmanager
def opened(source: Path) -> Iterator[Bundle]:
    """Opens a folder or a zip archive.

    Raises:
        BundleError: it cannot be read, or breaks a rule.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        try:
            if source.is_dir():
                _copy(source, folder)
            else:
                _unpack(source, folder)
        except OSError as error:
            reason = error.strerror or error
            raise BundleError(f"{source}: cannot be read: {reason}") from None
        check_files(folder, source)
        claims = read(folder, source)
        for name in (ONNX, INT8):
            if (folder / name).exists():
                graphs.check(folder / name, source, claims.spec())
        yield Bundle(folder, source, claims)


def _copy(source: Path, folder: Path) -> None:
    """The files of a folder, copied so that nobody changes them after they were checked."""
    entries = sorted(source.iterdir())
    check_names([entry.name for entry in entries], source)
    for entry in entries:
        if not stat.S_ISREG(entry.lstat().st_mode):
            raise BundleError(f"{source}: {entry.name} is not a plain file")
        if entry.lstat().st_size > LIMITS[entry.name]:
            raise BundleError(f"{source}: {entry.name} has more than {LIMITS[entry.name]} bytes")
        shutil.copyfile(entry, folder / entry.name)


def _unpack(source: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(source) as archive:
            infos = archive.infolist()
            check_names([info.filename for info in infos], source)
            for info in infos:
                _check_member(info, source)
            # The ratio is of sizes that the archive states, so they must at least fit into it.
            if sum(info.compress_size for info in infos) > source.stat().st_size:
                raise BundleError(f"{source}: its files are said to be larger than the archive")
            for info in infos:
                _extract(archive, info, folder / info.filename, source)
    except (BundleError, OSError):
        raise
    except Exception as error:  # zipfile and zlib raise many kinds for damaged archives
        raise BundleError(f"{source}: not a bundle: {brief(error)}") from None


def _check_member(info: zipfile.ZipInfo, source: Path) -> None:
    mode = info.external_attr >> 16
    if info.flag_bits & 1:
        raise BundleError(f"{source}: {info.filename} is encrypted")
    if info.is_dir() or (stat.S_IFMT(mode) and not stat.S_ISREG(mode)):
        raise BundleError(f"{source}: {info.filename} is not a plain file")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise BundleError(f"{source}: {info.filename} is packed by a method that is not allowed")


def _extract(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, source: Path) -> None:
    """Unpacks one file, counting what really comes out."""
    limit = min(LIMITS[info.filename], _RATIO * max(info.compress_size, 1024))
    written = 0
    with archive.open(info) as packed, path.open("wb") as file:
        while chunk := packed.read(_CHUNK):
            written += len(chunk)
            if written > limit:
                raise BundleError(
                    f"{source}: {info.filename} unpacks to more than {limit} bytes: refused"
                )
            file.write(chunk)
