"""What NVML tells, with a GPU whose answers are known: clocks, throttling, others, refusals."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from profiler_fake_cuda import UUID
from profiler_traces import SHORT, Machine

from profiler import cuda_device
from profiler.gpu.nvml import THROTTLES, Nvml, connect, facts, here
from profiler.gpu.watch import SWITCH, GpuWatch, still_clocks
from profiler.measure import measure


class NVMLError(Exception):
    def __init__(self, value: int) -> None:
        super().__init__({3: "Not Supported", 4: "Insufficient Permissions"}.get(value, "?"))
        self.value = value


class Pynvml:
    """`pynvml` with one GPU."""

    NVMLError = NVMLError
    NVML_SUCCESS, NVML_ERROR_NOT_SUPPORTED, NVML_ERROR_NOT_FOUND = 0, 3, 6
    NVML_CLOCK_GRAPHICS, NVML_CLOCK_SM, NVML_CLOCK_MEM = 0, 1, 2
    NVML_CLOCK_ID_APP_CLOCK_DEFAULT = 2
    NVML_TEMPERATURE_GPU = 0

    def __init__(self, uuid: str = UUID) -> None:
        self.uuid = uuid
        self.clocks = {1: 1410, 2: 2619}
        self.reasons = 0x1  # idle
        self.present = [os.getpid()]
        self.busy: dict[int, int] = {}
        self.unsupported: set[str] = set()
        self.locked: tuple[int, int] | None = None
        self.locks: list[tuple[int, int] | None] = []
        self.since: list[int] = []

    def _may(self, name: str) -> None:
        if name in self.unsupported:
            raise NVMLError(3)

    def nvmlInit(self) -> None:
        self._may("nvmlInit")

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        if uuid != self.uuid:
            raise NVMLError(6)
        return "handle"

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: str) -> int:
        self._may("nvmlDeviceGetEnforcedPowerLimit")
        return 400_000

    def nvmlDeviceGetClockInfo(self, handle: str, kind: int) -> int:
        self._may("nvmlDeviceGetClockInfo")
        return self.clocks[kind]

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle: str) -> int:
        self._may("nvmlDeviceGetCurrentClocksEventReasons")
        return self.reasons

    def nvmlDeviceGetTemperatureV(self, handle: str, sensor: int) -> int:
        return 55

    def nvmlDeviceGetComputeRunningProcesses(self, handle: str) -> list[Any]:
        return [SimpleNamespace(pid=pid) for pid in self.present]

    def nvmlDeviceGetProcessUtilization(self, handle: str, since: int) -> list[Any]:
        self._may("nvmlDeviceGetProcessUtilization")
        self.since.append(since)
        if not self.busy:
            raise NVMLError(6)
        stamp = len(self.since) * 1000
        return [
            SimpleNamespace(pid=pid, smUtil=share, timeStamp=stamp)
            for pid, share in self.busy.items()
        ]

    def nvmlDeviceGetClock(self, handle: str, kind: int, which: int) -> int:
        self._may("nvmlDeviceGetClock")
        return 1095

    def nvmlDeviceGetMaxClockInfo(self, handle: str, kind: int) -> int:
        self._may("nvmlDeviceGetMaxClockInfo")
        return 1980

    def nvmlDeviceSetGpuLockedClocks(self, handle: str, low: int, high: int) -> None:
        if "nvmlDeviceSetGpuLockedClocks" in self.unsupported:
            raise NVMLError(4)
        self.locked = (low, high)
        self.locks.append(self.locked)

    def nvmlDeviceResetGpuLockedClocks(self, handle: str) -> None:
        self.locked = None
        self.locks.append(None)


def opened(package: Pynvml) -> Nvml:
    found = connect(UUID, lambda: package)
    assert isinstance(found, Nvml)
    return found


def test_facts_of_a_gpu_are_text_for_a_target() -> None:
    package = Pynvml()
    package.reasons = 0x4 | 0x40
    assert facts(opened(package)) == {
        "nvml": "available",
        "sm_clock_mhz": "1410",
        "memory_clock_mhz": "2619",
        "power_limit_w": "400",
        "temperature_c": "55",
        "throttled_by": "a software power cap, a hardware thermal slowdown",
    }


def test_what_a_gpu_does_not_answer_is_left_out() -> None:
    package = Pynvml()
    package.unsupported = {"nvmlDeviceGetClockInfo", "nvmlDeviceGetCurrentClocksEventReasons",
                           "nvmlDeviceGetEnforcedPowerLimit"}  # fmt: skip
    found = opened(package)
    assert facts(found) == {"nvml": "available", "temperature_c": "55"}
    assert GpuWatch(found)(1.0) == ""


def test_without_nvml_the_reason_is_a_fact(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> Any:
        raise ImportError

    assert facts(connect(UUID, absent)) == {"nvml": "nvidia-ml-py is not installed"}
    package = Pynvml()
    package.unsupported = {"nvmlInit"}
    assert connect(UUID, lambda: package) == "NVML does not answer: Not Supported"
    monkeypatch.setattr(cuda_device, "uuid", lambda: "")
    assert here() == "no CUDA device, or no NVIDIA driver"
    monkeypatch.setattr(cuda_device, "uuid", lambda: UUID)
    assert isinstance(here(Pynvml), Nvml)


def test_an_instance_of_a_partitioned_gpu_is_found_too() -> None:
    assert isinstance(connect(UUID, lambda: Pynvml(UUID.replace("GPU", "MIG"))), Nvml)
    assert isinstance(connect(UUID, lambda: Pynvml("GPU-of-another-machine")), str)


@pytest.mark.parametrize("bit", sorted(THROTTLES))
def test_every_throttle_is_a_disturbance_that_is_named(bit: int) -> None:
    package = Pynvml()
    watch = GpuWatch(opened(package))
    assert watch(1.0) == ""
    package.reasons = bit | 0x1
    assert THROTTLES[bit] in watch(1.0)
    package.reasons = 0x2 | 0x100  # an application clock and a display clock: nothing is lost
    assert watch(1.0) == ""


@pytest.mark.parametrize("kind", [1, 2])
@pytest.mark.parametrize(("factor", "told"), [(1.015, False), (0.985, False), (0.97, True)])
def test_clocks_that_move_more_than_two_percent_are_a_disturbance(
    kind: int, factor: float, told: bool
) -> None:
    package = Pynvml()
    watch = GpuWatch(opened(package))
    assert [watch(1.0) for _ in range(5)] == [""] * 5
    usual = package.clocks[kind]
    package.clocks[kind] = round(usual * factor)
    found = watch(1.0)
    assert ("MHz, usually" in found) == told
    package.clocks[kind] = usual
    assert watch(1.0) == ""


def test_others_that_compute_are_a_disturbance_and_idle_ones_are_not() -> None:
    package = Pynvml()
    package.present += [77, 78]
    watch = GpuWatch(opened(package))
    assert watch(1.0) == ""
    package.busy = {os.getpid(): 90, 77: 5, 78: 0, 79: 50}  # 79 has ended
    assert watch(1.0) == "GPU disturbed by other processes computing on the GPU (77)"
    package.busy = {os.getpid(): 90}
    assert watch(1.0) == ""
    assert package.since == sorted(package.since)
    assert package.since[-1] > 0


def test_where_use_by_process_is_not_told_presence_counts() -> None:
    package = Pynvml()
    package.unsupported = {"nvmlDeviceGetProcessUtilization"}
    watch = GpuWatch(opened(package))
    assert watch(1.0) == ""
    package.present.append(77)
    assert "(77)" in watch(1.0)


def test_in_a_container_the_only_process_is_this_one() -> None:
    package = Pynvml()
    package.present = [4_000_000]  # the host's number of this process
    package.busy = {4_000_000: 99}
    watch = GpuWatch(opened(package))
    assert watch(1.0) == ""
    package.present.append(77)
    package.busy[77] = 10
    assert "(77)" in watch(1.0)
    assert "4000000" not in watch(1.0)


def test_rounds_taken_while_the_gpu_was_throttled_are_taken_again() -> None:
    package, machine = Pynvml(), Machine()

    def throttled(n: int) -> float:
        package.reasons = 0x20 if 60 < machine.now < 120 else 0
        return machine.runner("m", 1.0)(n)

    session = measure(
        {"m": throttled}, machine.runner("s", 1.0), SHORT, watch=GpuWatch(opened(package))
    )
    assert any("software thermal" in note for note in session.disturbances)
    assert len(session.rejected["m"]) >= 1
    assert session.measurements["m"].flags == ()
    assert np.allclose(session.measurements["m"].rounds, 1.0)


def test_clocks_are_locked_and_released_whatever_happens() -> None:
    package = Pynvml()

    def measured() -> None:
        with still_clocks(opened(package)) as outcome:
            assert outcome == "locked at 1095 MHz"
            assert package.locked == (1095, 1095)
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        measured()
    assert package.locks == [(1095, 1095), None]


def test_a_gpu_without_a_default_clock_is_locked_below_its_highest() -> None:
    package = Pynvml()
    package.unsupported = {"nvmlDeviceGetClock"}
    with still_clocks(opened(package)) as outcome:
        assert outcome == "locked at 1485 MHz"
    assert package.locks == [(1485, 1485), None]


def test_a_refused_lock_is_recorded_and_nothing_is_released(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    package = Pynvml()
    package.unsupported = {"nvmlDeviceSetGpuLockedClocks"}
    with still_clocks(opened(package)) as outcome:
        assert outcome == "not locked: Insufficient Permissions"
    package.unsupported = {"nvmlDeviceGetClock", "nvmlDeviceGetMaxClockInfo"}
    with still_clocks(opened(package)) as outcome:
        assert outcome == "not locked: the GPU tells no clock"
    monkeypatch.setenv(SWITCH, "0")
    with still_clocks(opened(package)) as outcome:
        assert outcome == "not locked: STAIRPRUNE_LOCK_CLOCKS=0"
    with still_clocks("nvidia-ml-py is not installed") as outcome:
        assert outcome == "not locked: nvidia-ml-py is not installed"
    assert package.locks == []
