"""Files of an object store, through fsspec: s3://bucket/stairprune, with the extra `s3`.

An object appears when its upload is complete, so nobody meets half a file. Keys and the address of
the store come from the environment, as AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

from jobs.errors import StoreError, StoreUnavailableError


class FsspecFiles:
    """See `Files`."""

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        scheme = address.split("://", 1)[0]
        try:
            import fsspec

            with _answering(self.address):
                # Lists are not remembered: other machines write too.
                found = fsspec.core.url_to_fs(self.address, use_listings_cache=False)
        except (ImportError, ValueError) as error:
            raise StoreError(
                f"files cannot lie at {scheme}://: {error}; for S3 pip install 'stairprune[s3]'"
            ) from error
        self._fs: Any = found[0]
        self._root: str = found[1]
        self._here = tempfile.TemporaryDirectory(prefix="stairprune-")  # goes with this object

    def temporary(self) -> Path:
        """In a folder of this process."""
        with tempfile.NamedTemporaryFile(dir=self._here.name, delete=False) as file:
            return Path(file.name)

    def keep(self, temporary: Path, name: str) -> None:
        """Uploads it."""
        with _answering(self.address):
            self._fs.put_file(str(temporary), self._key(name))

    def open(self, name: str) -> BinaryIO:
        """Reads the parts that are asked for."""
        with _answering(self.address):
            return cast(BinaryIO, self._fs.open(self._key(name), "rb"))

    def older(self, seconds: float) -> Iterator[str]:
        """By their time of upload."""
        with _answering(self.address):
            found = self._fs.find(self._root, detail=True)
        for key, about in found.items():
            written = about.get("LastModified") or about.get("created")
            if isinstance(written, datetime):
                written = written.astimezone(UTC).timestamp()
            if written is not None and written < datetime.now(UTC).timestamp() - seconds:
                yield key.rsplit("/", 1)[-1]

    def remove(self, name: str) -> None:
        """One object."""
        with _answering(self.address):
            self._fs.rm_file(self._key(name))

    def _key(self, name: str) -> str:
        return f"{self._root}/{name[:2]}/{name}"


@contextmanager
def _answering(address: str) -> Iterator[None]:
    """Tells a store that is away from files that are not there."""
    try:
        yield
    except (ConnectionError, TimeoutError) as error:
        raise StoreUnavailableError(f"{address} does not answer: {error}") from error
    except (OSError, ValueError, ImportError):
        raise
    except Exception as error:  # each store has errors of its own, none of them of a common kind
        raise StoreUnavailableError(f"{address} does not answer: {error}") from error
