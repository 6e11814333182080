"""What NVML tells of the GPU that is measured: clocks, what holds them back, power, other work.

Through `nvidia-ml-py`. Without it, or where a question is not answered, less is known and the rest
works; `facts` says so. Knows nothing of engines and sessions.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from profiler import cuda_device

THROTTLES = {
    0x04: "a software power cap",
    0x08: "a hardware slowdown",
    0x20: "a software thermal slowdown",
    0x40: "a hardware thermal slowdown",
    0x80: "a hardware power brake",
}
"""Bits of `nvmlClocksEventReasons` that take speed from what is measured."""
SHARE = 0.75
PREFIXES = ("GPU-", "MIG-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The GPU at one moment; None is unknown.

    Attributes:
        sm_mhz, memory_mhz: clocks.
        reasons: bits of `nvmlClocksEventReasons`.
        celsius: its temperature.
        computing: processes that computed on it since the last sample, this one left out.
    """

    sm_mhz: int | None
    memory_mhz: int | None
    reasons: int | None
    celsius: int | None
    computing: frozenset[int]

    @property
    def throttles(self) -> list[str]:
        """What takes speed from it."""
        return [text for bit, text in THROTTLES.items() if (self.reasons or 0) & bit]


class Nvml:
    """One GPU, asked through NVML.

    Attributes:
        limit_w: its power limit; None where unknown.
    """

    def __init__(self, pynvml: Any, handle: Any) -> None:
        self._nvml, self._handle = pynvml, handle
        limit = self._ask("nvmlDeviceGetEnforcedPowerLimit")
        self.limit_w = None if limit is None else limit / 1000
        self._seen_us = 0
        self._own: frozenset[int] = frozenset()

    def sample(self) -> Sample:
        """The GPU as it is now."""
        nvml = self._nvml
        return Sample(
            sm_mhz=self._ask("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_SM),
            memory_mhz=self._ask("nvmlDeviceGetClockInfo", nvml.NVML_CLOCK_MEM),
            reasons=self._ask("nvmlDeviceGetCurrentClocksEventReasons"),
            celsius=self._ask("nvmlDeviceGetTemperatureV", nvml.NVML_TEMPERATURE_GPU),
            computing=self._computing(),
        )

    def lock_clocks(self) -> str:
        """Fixes the SM clock where it can stay; says how that went.

        At the default clock for applications, else at `SHARE` of the highest, which no power limit
        should touch. Needs the rights of an administrator; a refusal leaves everything as it was.
        """
        nvml = self._nvml
        kind = (nvml.NVML_CLOCK_GRAPHICS, nvml.NVML_CLOCK_ID_APP_CLOCK_DEFAULT)
        mhz = self._ask("nvmlDeviceGetClock", *kind)
        if not mhz:
            most = self._ask("nvmlDeviceGetMaxClockInfo", nvml.NVML_CLOCK_SM)
            mhz = round(SHARE * most) if most else None
        if not mhz:
            return "not locked: the GPU tells no clock"
        try:
            nvml.nvmlDeviceSetGpuLockedClocks(self._handle, mhz, mhz)
        except nvml.NVMLError as error:
            return f"not locked: {error}"
        return f"locked at {mhz} MHz"

    def release_clocks(self) -> None:
        """Undoes `lock_clocks`."""
        self._ask("nvmlDeviceResetGpuLockedClocks")

    def _ask(self, function: str, *arguments: Any) -> Any:
        """An answer, or None where this GPU or driver has none."""
        try:
            return getattr(self._nvml, function)(self._handle, *arguments)
        except (self._nvml.NVMLError, AttributeError):  # an older package lacks a function
            return None

    def _computing(self) -> frozenset[int]:
        present = {p.pid for p in self._ask("nvmlDeviceGetComputeRunningProcesses") or ()}
        self._own = self._own or _own(present)
        try:
            used = self._nvml.nvmlDeviceGetProcessUtilization(self._handle, self._seen_us)
        except self._nvml.NVMLError as error:
            if error.value in (self._nvml.NVML_SUCCESS, self._nvml.NVML_ERROR_NOT_FOUND):
                return frozenset()
            return frozenset(present - self._own)  # who is there may be computing
        self._seen_us = max([self._seen_us, *(entry.timeStamp for entry in used)])
        busy = {entry.pid for entry in used if entry.smUtil}
        return frozenset((busy & present) - self._own)


def _own(present: set[int]) -> frozenset[int]:
    """This process as NVML numbers it: in a container, it tells the host's numbers."""
    if os.getpid() in present:
        return frozenset({os.getpid()})
    return frozenset(present) if len(present) == 1 else frozenset()


def connect(uuid: str, load: Callable[[], Any] | None = None) -> Nvml | str:
    """The GPU with this UUID, or why it cannot be asked.

    Args:
        load: gives the module; by default `pynvml` is imported.
    """
    try:
        pynvml = (load or (lambda: importlib.import_module("pynvml")))()
    except ImportError:
        return "nvidia-ml-py is not installed"
    try:
        pynvml.nvmlInit()
        return Nvml(pynvml, _handle(pynvml, uuid))
    except pynvml.NVMLError as error:
        return f"NVML does not answer: {error}"


def _handle(pynvml: Any, uuid: str) -> Any:
    """Of a whole GPU, or of an instance of a partitioned one."""
    bare = uuid.removeprefix(PREFIXES[0])
    try:
        return pynvml.nvmlDeviceGetHandleByUUID(PREFIXES[0] + bare)
    except pynvml.NVMLError:
        return pynvml.nvmlDeviceGetHandleByUUID(PREFIXES[1] + bare)


def facts(found: Nvml | str) -> dict[str, str]:
    """What a target's details say of it."""
    if isinstance(found, str):
        return {"nvml": found}
    now = found.sample()
    known = {
        "nvml": "available",
        "sm_clock_mhz": now.sm_mhz,
        "memory_clock_mhz": now.memory_mhz,
        "power_limit_w": None if found.limit_w is None else f"{found.limit_w:g}",
        "temperature_c": now.celsius,
        "throttled_by": ", ".join(now.throttles) or None,
    }
    return {name: str(value) for name, value in known.items() if value is not None}


def here(load: Callable[[], Any] | None = None) -> Nvml | str:
    """Device 0 of this process, or why it cannot be asked."""
    uuid = cuda_device.uuid()
    return connect(uuid, load) if uuid else "no CUDA device, or no NVIDIA driver"
