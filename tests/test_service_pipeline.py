"""A whole job, killed in every stage: it ends with the result of an undisturbed one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import onnx
import pytest

from bundle.reading import opened
from bundle.verify import verify
from service.pipeline import STAGES

MINI = Path(__file__).parent / "mini.yaml"
STAGE_NAMES = [stage.name for stage in STAGES]
KILLED = STAGE_NAMES if os.environ.get("STAIRPRUNE_STAGES") == "all" else STAGE_NAMES[2::3]
"""Every third stage; `make chaos` takes all."""
SAME = (
    "search/search.json",
    "search/budget.json",
    "supernet/supernet.safetensors",
    "teacher/teacher.safetensors",
)


def start(runs: Path, spec: Path = MINI) -> subprocess.Popen[str]:
    """`stairprune run` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "service.cli", "run", str(spec), "--runs", str(runs), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def kill_in(stage: str, runs: Path) -> bool:
    """Starts the job and kills it inside `stage`; False if the stage was over before that."""
    folder = runs / "mini" / stage
    process = start(runs)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if (folder / "key.json").exists() and not (folder / "done.json").exists():
            time.sleep(0.15)
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return not (folder / "done.json").exists()
        time.sleep(0.005)
    process.kill()
    _, errors = process.communicate()
    pytest.fail(f"the job never reached {stage}: {errors[-2000:]}")


def finish(runs: Path, spec: Path = MINI) -> dict[str, Any]:
    """Runs the job to its end and returns its report."""
    process = start(runs, spec)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-3000:]
    report: dict[str, Any] = json.loads(output)
    return report


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], list[str]]:
    """A job killed once in each of `KILLED` and then finished: runs folder, report, stages hit."""
    runs = tmp_path_factory.mktemp("killed")
    hit = [stage for stage in KILLED if kill_in(stage, runs)]
    return runs, finish(runs), hit


@pytest.mark.slow
def test_killed_in_each_stage_it_equals_the_undisturbed_run(
    killed: tuple[Path, dict[str, Any], list[str]], tmp_path: Path
) -> None:
    runs, _, hit = killed
    assert len(hit) >= len(KILLED) - 2, hit
    # Times differ between any two measurements, so both runs get the same table.
    shutil.copytree(runs / "mini" / "profile", tmp_path / "mini" / "profile")
    finish(tmp_path)
    for name in SAME:
        assert (tmp_path / "mini" / name).read_bytes() == (runs / "mini" / name).read_bytes(), name


@pytest.mark.slow
def test_the_report_holds_what_was_promised(
    killed: tuple[Path, dict[str, Any], list[str]],
) -> None:
    runs, report, _ = killed
    assert report == json.loads((runs / "mini" / "report.json").read_text())
    assert set(report["budget"]) == {"latency_ms", "macs", "params"}
    assert {"points", "mape_percent", "within_10_percent"} <= set(report["table"])
    assert report["found"]
    for entry in (report["dense"], report["uniform"], *report["found"]):
        assert {"config", "macs", "params", "latency_ms", "accuracy", "meets"} <= set(entry)
        latency = entry["latency_ms"]
        assert 0 < latency["lo"] <= latency["measured"] <= latency["hi"]
        assert entry["accuracy"]["n"] > 300
        meets = (
            latency["hi"] <= report["budget"]["latency_ms"]
            and latency["ratio_to_dense"]["hi"] <= 3.0
            and entry["macs"] <= report["budget"]["macs"]
            and entry["params"] <= report["budget"]["params"]
        )
        assert entry["meets"] == meets
        assert latency["ceiling"] >= latency["hi"]
        int8 = entry["int8"]
        assert set(int8["methods"]) == {"max", "percentile", "entropy"}
        assert int8["accuracy"]["n"] == entry["accuracy"]["n"]
        assert abs(int8["accuracy"]["test"] - int8["fp32_accuracy"]) < 0.05
        assert int8["latency_ms"]["ratio_to_dense_fp32"]["median"] > 0
    assert not report["dense"]["meets"]
    for entry in report["found"]:
        assert entry["macs"] <= report["budget"]["macs"]
        assert entry["params"] <= report["budget"]["params"]
    with opened(runs / "mini" / "bundle" / "found-1.bundle.zip") as bundle:
        verdicts = {check.claim: check.verdict for check in verify(bundle)}
    assert set(verdicts.values()) == {"pass", "not checked"}, verdicts
    assert verdicts["accuracy, int8"] == "pass"
    assert verdicts["speed-up, int8"] == "not checked"
    page = (runs / "mini" / "report.html").read_text(encoding="utf-8")
    assert "http://" not in page.split("</script>", 1)[1]
    for title in ("Stairs", "Widths per layer", "Predicted against measured", "Eight bits"):
        assert title in page


@pytest.mark.slow
def test_a_finished_job_is_not_repeated(
    killed: tuple[Path, dict[str, Any], list[str]],
) -> None:
    runs, report, _ = killed
    process = start(runs)
    output, errors = process.communicate(timeout=60)
    assert json.loads(output) == report
    assert errors.count("finished before") == len(STAGE_NAMES)


@pytest.mark.slow
def test_eight_bits_can_be_tuned_and_left_out(
    killed: tuple[Path, dict[str, Any], list[str]], tmp_path: Path
) -> None:
    """Only the stages from quantise on are repeated."""
    shutil.copytree(killed[0] / "mini", tmp_path / "mini")
    recipe = "{epochs: 1, batch: 50, lr: 0.005, warmup_epochs: 0, augment: false}"
    options = f"methods: [max], images: 64, finetune: {recipe}, sensitivity_images: 8, keep: [fc]"
    spec = tmp_path / "mini.yaml"
    text, _, _ = MINI.read_text(encoding="utf-8").partition("quantise:")
    spec.write_text(f"{text}quantise: {{{options}}}\n", encoding="utf-8")
    found = finish(tmp_path, spec)["found"][0]["int8"]
    assert set(found["methods"]) == set(found["methods_finetuned"]) == {"max"}
    assert found["finetuned"] in (True, False)
    assert {"conv1", "fc", "layer1.0.conv2"} <= set(found["layers_db"])
    weights = {
        t.name for t in onnx.load(tmp_path / "mini/quantise/found-1.int8.onnx").graph.initializer
    }
    assert "fc.weight" in weights
    assert "conv1.weight" not in weights
    spec.write_text(f"{text}quantise: {{enabled: false}}\n", encoding="utf-8")
    assert "int8" not in finish(tmp_path, spec)["found"][0]
