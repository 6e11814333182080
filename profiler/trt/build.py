"""`Factory`: builds engines, one after another, with one builder and one timing cache.

Never two at a time on a device: kernels are chosen by timing them. Knows no networks and runs
nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from profiler.trt import api
from profiler.trt.errors import Log
from profiler.trt.loading import creation_flags
from profiler.trt.module import TensorRT
from profiler.trt.networks import Fill
from profiler.trt.settings import Settings
from profiler.trt.timing_cache import TimingCache

Tweak = Callable[[api.IBuilderConfig], None]
"""Sets what only one device or one flavour of TensorRT needs."""


class Factory:
    """Builds serialized engines.

    Args:
        cache: timings of kernels that outlast the process; None to time anew.
        tweak: called with each configuration, after the settings.

    Raises:
        BackendError: TensorRT finds no device to build for.
    """

    def __init__(
        self,
        trt: TensorRT,
        settings: Settings,
        *,
        cache: TimingCache | None = None,
        tweak: Tweak | None = None,
    ) -> None:
        self.trt = trt
        self.settings = settings
        self.log = Log(trt)
        self._cache = cache
        self._tweak = tweak
        self._builder = self.log.made(trt.Builder, "a builder")

    def build(self, fill: Fill, what: str) -> bytes:
        """A serialized engine (a "plan").

        Args:
            what: names it in errors.

        Raises:
            BackendError: TensorRT refuses the network or cannot build it; with its own message.
        """
        self.log.clear()
        builder = self._builder
        network = self.log.need(
            builder.create_network(creation_flags(self.trt)), f"start the network of {what}"
        )
        kept = fill(self.trt, network, self.log)
        config = self.log.need(builder.create_builder_config(), f"configure {what}")
        self.settings.apply(self.trt, config)
        if self._tweak:
            self._tweak(config)
        if self._cache:
            self._cache.attach(config, self.log)
        plan = self.log.need(builder.build_serialized_network(network, config), f"build {what}")
        del kept  # weights were read until here
        if self._cache:
            self._cache.keep(config, self.log)
        return bytes(memoryview(plan))

    def facts(self) -> dict[str, str]:
        """Version, settings and cache, for `Target.details`."""
        cache = self._cache.facts() if self._cache else {"timing_cache": "none"}
        return {"tensorrt": self.trt.__version__, **self.settings.facts(), **cache}
