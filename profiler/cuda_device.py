"""The CUDA device that a backend measures on, asked of the driver itself.

Needs no package, honours CUDA_VISIBLE_DEVICES, and numbers devices as every CUDA runtime does.
Knows nothing of runtimes.
"""

from __future__ import annotations

import ctypes
import sys
import uuid as python_uuid
from typing import Any

CAPABILITY_MAJOR, CAPABILITY_MINOR, MULTIPROCESSORS = 75, 76, 16
"""Numbers of `CUdevice_attribute` in cuda.h."""
UUID = "gpu_uuid"
"""The key of `facts` that tells one device from another of the same name."""
CLOCKS = "clocks"
"""The detail of a target that says whether they are locked."""


def names() -> list[str]:
    """Names of the devices that this process may use; empty without a driver."""
    driver = _driver()
    if driver is None:
        return []
    return [_name(driver, number) for number in range(_count(driver))]


def facts() -> dict[str, str]:
    """What is known of device 0 beside its name; empty without one."""
    driver = _driver()
    if driver is None or not _count(driver):
        return {}
    numbers = (CAPABILITY_MAJOR, CAPABILITY_MINOR, MULTIPROCESSORS)
    major, minor, cores = (_attribute(driver, number) for number in numbers)
    return {
        "cuda_driver": driver_version(),
        "compute_capability": f"{major}.{minor}",
        "multiprocessors": str(cores),
        UUID: uuid(),
    }


def driver_version() -> str:
    """The CUDA version of the driver, such as "13.0"; empty without one."""
    driver, version = _driver(), ctypes.c_int(0)
    if driver is None or driver.cuDriverGetVersion(ctypes.byref(version)) != 0:
        return ""
    return version_text(version.value)


def version_text(number: int) -> str:
    """A CUDA version from its number: 13000 is "13.0"."""
    return f"{number // 1000}.{number % 1000 // 10}"


def uuid() -> str:
    """Which device 0 is, among all of the world, as NVML writes it; empty without one."""
    driver, found = _driver(), (ctypes.c_ubyte * 16)()
    if driver is None or not _count(driver):
        return ""
    # the newer function tells the instance where a device is partitioned
    ask = getattr(driver, "cuDeviceGetUuid_v2", None) or driver.cuDeviceGetUuid
    if ask(ctypes.byref(found), _device(driver, 0)) != 0:
        return ""
    return f"GPU-{python_uuid.UUID(bytes=bytes(found))}"


def _driver() -> Any:
    """The driver's library, initialised, or None."""
    try:
        library = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return None
    return library if library.cuInit(0) == 0 else None


def _count(driver: Any) -> int:
    count = ctypes.c_int(0)
    driver.cuDeviceGetCount(ctypes.byref(count))
    return count.value


def _name(driver: Any, number: int) -> str:
    buffer = ctypes.create_string_buffer(256)
    driver.cuDeviceGetName(buffer, len(buffer), _device(driver, number))
    return buffer.value.decode(errors="replace")


def _attribute(driver: Any, attribute: int) -> int:
    value = ctypes.c_int(0)
    driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, _device(driver, 0))
    return value.value


def _device(driver: Any, number: int) -> ctypes.c_int:
    device = ctypes.c_int(0)
    driver.cuDeviceGet(ctypes.byref(device), number)
    return device
