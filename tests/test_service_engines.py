"""Engines as files: really built by TensorRT-RTX, which needs no GPU, and never run here."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from bundles import BATCH, make
from trt_networks import factory

from bundle.manifest import INT8, ONNX
from bundle.writing import pack, seal
from export.half import HalfError, halve
from export.int8.calibration import ranges
from export.int8.files import quantise
from export.int8.form import Form
from profiler.backend import BackendError
from profiler.graphs import network_model
from profiler.trt import plan_file
from service.engines import Request, build
from supernet.config import ConfigError
from supernet.network import NetworkSpec

SMALL = NetworkSpec(depths=(1, 1), width=0.25, stem="3x3/1", resolution=16, classes=5)


@pytest.fixture(scope="module")
def rtx() -> Any:
    if importlib.util.find_spec("tensorrt") is not None:
        pytest.skip("a real TensorRT must not share a process with TensorRT-RTX")
    return pytest.importorskip("tensorrt_rtx")


def model(folder: Path, precision: str, *, symmetric: bool = False) -> Path:
    path = folder / f"{precision}{'-symmetric' * symmetric}.onnx"
    path.write_bytes(network_model(SMALL, SMALL.dense(), 2, precision, symmetric=symmetric))
    return path


def request(source: object, precision: str | None = None, batch: int = 2) -> Request:
    return Request(source=str(source), precision=precision, batch=batch, resolution=32)


@pytest.mark.parametrize(
    ("kind", "precision"), [("fp32", None), ("fp32", "fp16"), ("int8", None)], ids=str
)
def test_an_exported_file_becomes_an_engine(
    rtx: Any, kind: str, precision: str | None, tmp_path: Path
) -> None:
    source = model(tmp_path, kind, symmetric=kind == "int8")
    out = tmp_path / "net.engine"
    made = build(request(source, precision), out, factory(rtx))
    plan = plan_file.load(out, rtx.__version__)
    assert (made["sha256"], made["bytes"]) == (plan.sha256, len(out.read_bytes()))
    assert plan.facts["weights"] == "the file's"
    assert plan.facts["batch"] == "2"
    assert len(plan.facts["source_sha256"]) == 64


def test_a_bundle_becomes_an_engine_for_any_batch(rtx: Any, tmp_path: Path) -> None:
    place = make(tmp_path)
    pack(place, tmp_path / "a.bundle.zip")
    out = tmp_path / "net.engine"
    build(request(tmp_path / "a.bundle.zip", "fp32", batch=3), out, factory(rtx))
    facts = plan_file.load(out, rtx.__version__).facts
    assert (facts["bundle"], facts["batch"]) == ("a.bundle.zip", "3")
    # made for a CPU
    with pytest.raises(BackendError, match="TensorRT needs symmetric int8"):
        build(request(tmp_path / "a.bundle.zip", "int8"), out, factory(rtx))
    found = ranges(place / ONNX, [np.zeros((BATCH, 1, 8, 8), np.float32)], "max")
    quantise(place / ONNX, place / INT8, found, Form("symmetric"))
    seal(place)
    pack(place, tmp_path / "b.bundle.zip")
    assert build(request(tmp_path / "b.bundle.zip", "int8", batch=3), out, factory(rtx))["bytes"]


def test_half_precision_halves_the_weights_in_the_engine(rtx: Any, tmp_path: Path) -> None:
    network = NetworkSpec(depths=(1, 1), stem="3x3/1", resolution=8, classes=5)
    source = tmp_path / "net.onnx"
    source.write_bytes(network_model(network, network.dense(), 1))
    sizes = [
        build(request(source, precision, 1), tmp_path / "net.plan", factory(rtx))["bytes"]
        for precision in (None, "fp16")
    ]
    assert 0.4 < sizes[1] / sizes[0] < 0.7


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_config_becomes_an_engine_with_random_weights(
    rtx: Any, precision: str, tmp_path: Path
) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps(NetworkSpec().uniform(0.25).to_json()))
    out = tmp_path / "net.plan"
    made = build(request(config, precision, 1), out, factory(rtx))
    assert made["facts"]["weights"] == "random"
    assert made["facts"]["precision"] == precision


@pytest.mark.parametrize(
    ("source", "precision", "message"),
    [
        ("absent.onnx", None, "cannot read the model file"),
        ("int8.onnx", None, "TensorRT needs symmetric int8"),
        ("fp32.onnx", "int8", "must be one of fp16, but got 'int8'"),
        ("resnet50", "bf16", "must be one of fp32, fp16, int8, but got 'bf16'"),
        ("resnet51", None, "resnet51"),
        ("int8-symmetric.onnx", "fp16", "is quantised"),
    ],
)
def test_what_cannot_be_built_is_one_clear_line(
    rtx: Any, source: str, precision: str | None, message: str, tmp_path: Path
) -> None:
    model(tmp_path, "fp32"), model(tmp_path, "int8"), model(tmp_path, "int8", symmetric=True)
    path = tmp_path / source if source.endswith(".onnx") else source
    with pytest.raises((BackendError, ConfigError, HalfError), match=message):
        build(request(path, precision), tmp_path / "net.plan", factory(rtx))
    assert not (tmp_path / "net.plan").exists()


def test_only_engine_names_are_written(rtx: Any, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"must end with \.engine or \.plan"):
        build(request(model(tmp_path, "fp32")), tmp_path / "net.bin", factory(rtx))


def test_half_precision_agrees_with_full(tmp_path: Path) -> None:
    import numpy as np
    import onnxruntime

    full, half = model(tmp_path, "fp32"), tmp_path / "half.onnx"
    halve(full, half)
    values = np.random.default_rng(0).random((2, 3, 16, 16), dtype=np.float32)
    outputs = []
    for path, dtype in ((full, np.float32), (half, np.float16)):
        session = onnxruntime.InferenceSession(str(path))
        outputs.append(session.run(None, {"input": values.astype(dtype)})[0].astype(np.float32))
    assert np.abs(outputs[0] - outputs[1]).max() < 0.02 * np.abs(outputs[0]).max()
    types = {weight.data_type for weight in onnx.load(str(half)).graph.initializer}
    assert types == {onnx.TensorProto.FLOAT16}


def test_a_file_that_is_no_model_cannot_be_halved(tmp_path: Path) -> None:
    (tmp_path / "no.onnx").write_bytes(b"not a model")
    with pytest.raises(HalfError, match="not an ONNX model"):
        halve(tmp_path / "no.onnx", tmp_path / "half.onnx")
    with pytest.raises(HalfError, match="cannot read"):
        halve(tmp_path / "absent.onnx", tmp_path / "half.onnx")


def test_the_verb_says_what_is_missing_and_shows_an_engine(rtx: Any, tmp_path: Path) -> None:
    out = tmp_path / "net.engine"
    build(request(model(tmp_path, "fp32")), out, factory(rtx))

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "service.cli", "engine", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    shown = call("show", str(out), "--json")
    assert json.loads(shown.stdout)["facts"]["tensorrt"] == rtx.__version__
    done = call("build", "resnet50", "--out", str(tmp_path / "other.engine"))
    assert done.returncode == 2
    assert "tensorrt cannot be imported" in done.stderr.replace("\n", " ")
    out.write_bytes(out.read_bytes()[:-1])
    assert "is not the engine" in " ".join(call("show", str(out)).stderr.split())
