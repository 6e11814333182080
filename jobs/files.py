"""Where stored files lie, by name: `Files`, and which of them an address asks for.

Whoever stores knows nothing of what they are; `jobs.artifacts` names them by their hash.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol


class Files(Protocol):
    """Files that are there whole or not at all.

    Attributes:
        address: a folder or URL, by which another process or machine opens the same.
    """

    @property
    def address(self) -> str: ...

    def temporary(self) -> Path:
        """A new path on this machine, for a file that is to be kept or thrown away."""

    def keep(self, temporary: Path, name: str) -> None:
        """Makes it the file of that name, in place of any; it lasts when this returns.

        The temporary file may stay.

        Raises:
            OSError: it cannot be written; no space, for one.
            StoreUnavailableError: the store does not answer.
        """

    def open(self, name: str) -> BinaryIO:
        """The file, which can be sought in.

        Raises:
            OSError: there is none.
            StoreUnavailableError: the store does not answer.
        """

    def older(self, seconds: float) -> Iterator[str]:
        """Names of all files, temporary ones too, that were written so long ago."""

    def remove(self, name: str) -> None:
        """Removes one of them."""


def opened(address: str | Path) -> Files:
    """The files of a folder, or of a URL such as s3://bucket/stairprune.

    Raises:
        StoreError: such URLs are not known here.
    """
    if "://" not in str(address):
        from jobs.files_local import LocalFiles

        return LocalFiles(Path(address))
    from jobs.files_fsspec import FsspecFiles

    return FsspecFiles(str(address))
