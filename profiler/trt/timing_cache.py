"""`TimingCache`: what TensorRT learnt about the speed of kernels, kept in a file.

One file for each GPU, driver and version of TensorRT, since timings hold for nothing else. Building
with a cache also makes builds choose the same kernels again. Knows no networks.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from latency_tables.files import replace_with
from profiler.trt import api
from profiler.trt.errors import Log

DIGEST = 32
"""Bytes of the SHA-256 before TensorRT's own: a damaged file never reaches TensorRT."""


class TimingCache:
    """The file of one GPU, driver and version.

    Attributes:
        path: the file; it need not exist.
        note: why the file was not used, in one line, or "".
    """

    def __init__(self, folder: Path, *, gpu: str, driver: str, version: str) -> None:
        known = f"{gpu}\n{driver}\n{version}"
        slug = re.sub(r"[^a-z0-9]+", "-", known.lower()).strip("-")[:80]
        digest = hashlib.sha256(known.encode()).hexdigest()[:12]
        self.path = folder / f"{slug}-{digest}.timing"
        self.note = ""
        self._data = self._read()

    def attach(self, config: api.IBuilderConfig, log: Log) -> None:
        """Lets a build use what is known.

        Raises:
            BackendError: TensorRT takes not even an empty cache.
        """
        if self._data and not self._given(config, self._data):
            self.note = f"{self.path.name} ignored: TensorRT refuses it"
            self._data = b""
            log.clear()
        if not self._data and not self._given(config, b""):
            log.fail("start a timing cache")

    def keep(self, config: api.IBuilderConfig, log: Log) -> None:
        """Takes over what a build learnt, and writes the file where that is new.

        Raises:
            BackendError: TensorRT gives nothing.
        """
        cache = log.need(config.get_timing_cache(), "give its timing cache")
        memory = log.need(cache.serialize(), "serialize its timing cache")
        data = bytes(memoryview(memory))
        if data == self._data:
            return
        self._data = data
        self.path.parent.mkdir(parents=True, exist_ok=True)
        whole = hashlib.sha256(data).digest() + data
        replace_with(self.path, lambda path: path.write_bytes(whole))

    def facts(self) -> dict[str, str]:
        """For `Target.details`."""
        note = {"timing_cache_note": self.note} if self.note else {}
        return {"timing_cache": self.path.name, **note}

    def _given(self, config: api.IBuilderConfig, data: bytes) -> bool:
        cache = config.create_timing_cache(data)
        return cache is not None and config.set_timing_cache(cache, False)

    def _read(self) -> bytes:
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            self.note = f"{self.path.name} ignored: {error.strerror}"
            return b""
        if hashlib.sha256(data[DIGEST:]).digest() != data[:DIGEST]:
            self.note = f"{self.path.name} ignored: it is damaged"
            return b""
        return data[DIGEST:]
