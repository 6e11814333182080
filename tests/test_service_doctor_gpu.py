"""What doctor says of a GPU: where there is none, and of a simulated one."""

from __future__ import annotations

import json

import pytest
from profiler_fake_cuda import UUID
from test_profiler_gpu_nvml import Pynvml

from profiler import cuda_device
from profiler.backend import load
from profiler.gpu import choose, nvml
from service import doctor, doctor_gpu


def test_without_a_gpu_every_line_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_device, "names", list)
    monkeypatch.setattr(cuda_device, "facts", dict)
    monkeypatch.setattr(cuda_device, "uuid", lambda: "")
    monkeypatch.setattr(choose, "missing", lambda name: "not installed")
    found = doctor_gpu.examine()
    lines = dict(doctor_gpu.rows(found))
    assert lines["GPU"] == lines["CUDA driver"] == "none"
    assert lines["NVML"] == "no CUDA device, or no NVIDIA driver"
    assert lines["CUDA packages"] == "none of torch, cuda-python, pycuda"
    assert lines["GPU tests"] == "skipped: no CUDA device, or no NVIDIA driver"
    json.dumps(found)


def test_with_a_gpu_it_says_what_would_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_device, "names", lambda: ["Fake GPU"])
    monkeypatch.setattr(cuda_device, "facts", lambda: {"cuda_driver": "13.0", "gpu_uuid": UUID})
    monkeypatch.setattr(nvml, "here", lambda: nvml.connect(UUID, Pynvml))
    monkeypatch.setattr(type(load("tensorrt")), "unavailable", lambda self: None)
    monkeypatch.setattr(choose, "missing", lambda name: None if name == "torch" else "no")
    lines = dict(doctor_gpu.rows(doctor_gpu.examine()))
    assert lines["GPU"] == "Fake GPU"
    assert lines["CUDA driver"] == "up to CUDA 13.0"
    assert lines["NVML"].startswith("available: sm_clock_mhz 1410, ")
    assert lines["CUDA packages"] == "torch"
    assert lines["GPU tests"] == "pytest -m gpu"
    monkeypatch.setattr(type(load("tensorrt")), "unavailable", lambda self: "no tensorrt")
    lines = dict(doctor_gpu.rows(doctor_gpu.examine()))
    assert lines["GPU tests"] == "pytest -m gpu; those of TensorRT are skipped: no tensorrt"


def test_doctor_shows_them_beside_everything_else() -> None:
    findings = doctor.examine()
    table = doctor.render(findings, [])
    names = list(table.columns[0].cells)
    for name, _ in doctor_gpu.rows(findings["gpu"]):
        assert names.count(name) == 1
    assert "backend tensorrt" in names
