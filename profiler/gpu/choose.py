"""Which package drives the CUDA device: the one asked for, else the first that is installed.

Imports none of them before it is chosen.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from importlib.util import find_spec

from profiler.backend import BackendError
from profiler.gpu.cuda_python_device import CudaPythonDevice
from profiler.gpu.device import Device
from profiler.gpu.pycuda_device import PycudaDevice
from profiler.gpu.torch_device import TorchDevice

VARIABLE = "STAIRPRUNE_CUDA_PACKAGE"
"""Environment variable that asks for a package by name."""
AUTO = "auto"


def _torch() -> Device:
    return TorchDevice(importlib.import_module("torch"))


def _cuda_python() -> Device:
    return CudaPythonDevice(importlib.import_module("cuda.bindings.runtime"))


def _pycuda() -> Device:
    driver = importlib.import_module("pycuda.driver")
    return PycudaDevice(driver, importlib.import_module("pycuda.autoprimaryctx"))


PACKAGES: dict[str, tuple[str, Callable[[], Device]]] = {
    "torch": ("torch", _torch),
    "cuda-python": ("cuda.bindings", _cuda_python),
    "pycuda": ("pycuda", _pycuda),
}
"""Name -> the module that shows it is installed, and what opens its device; best first."""

WITH_GRAPHS = ("torch", "cuda-python")
"""Those that offer CUDA graphs."""


def missing(name: str) -> str | None:
    """Why the device cannot be opened through this package, or None; a device may still lack."""
    module = PACKAGES[name][0]
    try:
        found = find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it
        found = False
    return None if found else f"{name} is not installed"


def chosen(wanted: str | None = None) -> str:
    """The package to use: `wanted`, else what the environment asks for, else the best installed.

    Raises:
        BackendError: no such package, or it is not installed; names the valid choices.
    """
    name = wanted or os.environ.get(VARIABLE, AUTO)
    if name != AUTO and name not in PACKAGES:
        choices = ", ".join([AUTO, *PACKAGES])
        raise BackendError(f"{VARIABLE} must be one of {choices}, but got {name!r}")
    for candidate in PACKAGES if name == AUTO else [name]:
        if missing(candidate) is None:
            return candidate
    needed = " or ".join(PACKAGES) if name == AUTO else name
    raise BackendError(f"a CUDA device needs the package {needed}, which is not installed")


def open_device(wanted: str | None = None) -> Device:
    """Device 0 through the package that `chosen` names.

    Raises:
        BackendError: as `chosen`, or CUDA does not start.
    """
    name = chosen(wanted)
    try:
        return PACKAGES[name][1]()
    except BackendError:
        raise
    except Exception as error:  # each package raises its own when there is no driver
        raise BackendError(f"the CUDA device cannot be opened with {name}: {error}") from None
