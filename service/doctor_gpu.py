"""What this machine's GPU can do for a measurement; the part of `service.doctor` about it.

Asks the driver and what is installed; imports neither torch nor TensorRT.
"""

from __future__ import annotations

from importlib import metadata
from importlib.util import find_spec
from typing import Any

from profiler import cuda_device
from profiler.backend import load
from profiler.gpu import choose, nvml

TENSORRT = ("tensorrt", "tensorrt-cu13", "tensorrt-cu12")
"""Names under which it may be installed."""


def examine() -> dict[str, Any]:
    """Facts about the GPU, as JSON-able data; None and empty where there is none."""
    devices = cuda_device.names()
    return {
        "devices": devices,
        **cuda_device.facts(),
        "tensorrt": _tensorrt(),
        "nvml": nvml.facts(nvml.here()),
        "packages": {name: choose.missing(name) for name in choose.PACKAGES},
        "tests": load("tensorrt").unavailable(),
    }


def rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    """The findings for a terminal: a name and a text each."""
    ready = [name for name, reason in found["packages"].items() if reason is None]
    nvml_facts = dict(found["nvml"])
    told = ", ".join(f"{key} {value}" for key, value in nvml_facts.items() if key != "nvml")
    driver = found.get("cuda_driver")
    return [
        ("GPU", ", ".join(found["devices"]) or "none"),
        ("CUDA driver", f"up to CUDA {driver}" if driver else "none"),
        ("TensorRT", found["tensorrt"] or "not installed"),
        ("NVML", f"{nvml_facts['nvml']}{f': {told}' if told else ''}"),
        ("CUDA packages", ", ".join(ready) or f"none of {', '.join(found['packages'])}"),
        ("GPU tests", _tests(bool(found["devices"]), found["tests"])),
    ]


def _tests(devices: bool, lacking: str | None) -> str:
    """Which tests would run; those of TensorRT need more than a GPU."""
    if not devices:
        return f"skipped: {lacking}"
    return "pytest -m gpu" + (f"; those of TensorRT are skipped: {lacking}" if lacking else "")


def _tensorrt() -> str | None:
    if find_spec("tensorrt") is None:
        return None
    for name in TENSORRT:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "installed"
