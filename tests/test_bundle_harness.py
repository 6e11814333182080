"""LoadGen really drives a bundle's files; its accuracy is ours."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from bundles import BATCH
from typer.testing import CliRunner

from bundle.driving import drive_bundle
from bundle.engines import openvino
from bundle.manifest import INT8, ONNX, BundleError
from bundle.reading import opened
from export.int8.judge import judge
from export.onnx_file import ExportError, batch_of
from export.rebatch import rebatched
from export.running import logits
from service.cli import app

QUICK = {"seconds": 0.5, "queries": 64, "threads": 1}


@pytest.mark.parametrize("name", [ONNX, INT8])
@pytest.mark.parametrize("batch", [1, 3, 16])
def test_a_file_for_another_batch_computes_the_same(
    made: Path, tmp_path: Path, name: str, batch: int
) -> None:
    rebatched(made / name, tmp_path / "other.onnx", batch)
    assert batch_of(tmp_path / "other.onnx") == batch
    draws = np.random.default_rng(0).standard_normal((48, 1, 8, 8)).astype(np.float32)
    whole = logits(made / name, np.split(draws, 48 // BATCH))
    other = logits(tmp_path / "other.onnx", np.split(draws, 48 // batch))
    np.testing.assert_allclose(other, whole, rtol=1e-4, atol=1e-4 * float(np.abs(whole).max()))


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_openvino_computes_what_onnxruntime_does(made: Path, precision: str) -> None:
    draws = np.random.default_rng(0).standard_normal((24, 1, 8, 8)).astype(np.float32)
    wanted = logits(made / {"fp32": ONNX, "int8": INT8}[precision], np.split(draws, 24 // BATCH))
    model = openvino(made, precision, batch=6)
    found = np.concatenate([model([part])[0] for part in np.split(draws, 4)])
    assert judge(wanted, found, wanted.argmax(axis=1)).snr_db > (80 if precision == "fp32" else 25)
    with pytest.raises(BundleError, match="precision must be one of"):
        openvino(made, "fp8")


def test_what_cannot_be_made_for_another_batch(made: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(ExportError, match="not an ONNX model"):
        rebatched(tmp_path / "broken.onnx", tmp_path / "x.onnx", 1)
    model = onnx.load(str(made / ONNX))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.save(model, str(tmp_path / "open.onnx"))
    with pytest.raises(ExportError, match="any batch already"):
        rebatched(tmp_path / "open.onnx", tmp_path / "x.onnx", 1)


def test_both_scenarios_and_the_accuracy_on_all_images(made: Path, tmp_path: Path) -> None:
    with opened(made) as bundle:
        claimed = bundle.claims.accuracy
        single = drive_bundle(bundle, "single-stream", "fp32", tmp_path / "a", batch=4, **QUICK)  # type: ignore[arg-type]
        offline = drive_bundle(bundle, "offline", "int8", tmp_path / "b", batch=4, **QUICK)  # type: ignore[arg-type]
    assert single["accuracy"] == pytest.approx(claimed["fp32"].test, abs=0.003)
    assert offline["accuracy"] == pytest.approx(claimed["int8"].test, abs=0.003)
    assert single["n"] == offline["n"] == claimed["fp32"].n
    assert 0 < single["result_90.00_percentile_latency_ns"] < 1e9
    assert offline["result_samples_per_second"] > 10
    assert (single["batch"], offline["batch"]) == (1, 4)
    assert "not an MLPerf result" in single["style"]
    assert (tmp_path / "b" / "performance" / "mlperf_log_summary.txt").exists()


def test_the_verb_and_its_refusals(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["loadgen", str(made), "--scenario", "offline", "--seconds", "0.5", "--json"]
    done = CliRunner().invoke(app, [*words, "--logs", str(tmp_path / "logs")])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["name"] == "test/found-1"
    with opened(made) as bundle:
        for scenario, precision, reason in (
            ("server", "int8", "scenario must be one of single-stream, offline"),
            ("offline", "fp8", "precision must be one of fp32, int8"),
        ):
            with pytest.raises(BundleError, match=reason):
                drive_bundle(bundle, scenario, precision, tmp_path, batch=1, **QUICK)  # type: ignore[arg-type]
        monkeypatch.setitem(sys.modules, "mlperf_loadgen", None)
        with pytest.raises(BundleError, match=r"pip install 'stairprune\[loadgen\]'"):
            drive_bundle(bundle, "offline", "int8", tmp_path, batch=1, **QUICK)  # type: ignore[arg-type]
