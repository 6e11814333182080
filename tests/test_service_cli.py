"""The command line: exact prices, quick start-up, one-line errors, help for every verb."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from profiler import cuda_device

ROOT = Path(__file__).parent.parent
PUBLISHED = json.loads((ROOT / "configs" / "published.json").read_text(encoding="utf-8"))


def call(*words: str) -> subprocess.CompletedProcess[str]:
    """`stairprune WORDS` in a process of its own."""
    command = [sys.executable, "-m", "service.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def test_price_of_the_dense_network_is_exact() -> None:
    done = call("price", "--config", "resnet50", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"macs": 4_089_184_256, "params": 25_557_032}


@pytest.mark.parametrize(
    "entry", [c for c in PUBLISHED["configs"] if "inner" in c], ids=lambda c: str(c["name"])
)
def test_price_of_published_configs(entry: dict[str, Any], tmp_path: Path) -> None:
    from service.pricing import price

    path = tmp_path / "config.json"
    path.write_text(json.dumps({key: entry[key] for key in ("stem", "stages", "inner")}))
    assert price(str(path), None, None) == {"macs": entry["macs"], "params": entry["params"]}


@pytest.mark.parametrize(
    "verb",
    [
        "run", "price", "profile", "search", "train", "export", "doctor",
        "table", "table build", "table show", "table plot", "table validate", "table diff",
        "table export", "table snap", "table replay", "table shipped",
        "supernet", "supernet train", "supernet score",
    ],
)  # fmt: skip
def test_every_verb_has_help(verb: str) -> None:
    from typer.testing import CliRunner

    from service.cli import app

    result = CliRunner().invoke(app, [*verb.split(), "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run", "none.yaml"], "none.yaml"),
        (["run", "configs/quickstart.yaml", "--until", "dinner"], "'dinner'"),
        (["price", "--config", "none.json"], "none.json"),
        (["table", "show", "none.json"], "none.json"),
        (["table", "show", "configs/published.json"], "not a latency table"),
        (["profile"], "either a job file or --block"),
        (["profile", "--block", "stage9.9"], "stage9.9"),
        (["profile", "--block", "stage3.1", "--width", "w=9..x"], "w=9..x"),
        (["profile", "--block", "stage3.1", "--backend", "abacus"], "onnxruntime"),
        (["profile", "--block", "stage3.1", "--precision", "fp8"], "fp8"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(words: list[str], expected: str) -> None:
    done = call(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert expected in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_doctor_names_what_the_headline_job_lacks_here() -> None:
    done = call("doctor", "configs/imagenet-resnet50-a100-int8.yaml", "--json")
    missing = json.loads(done.stdout)["missing"]
    if missing:
        assert done.returncode == 2
    text = " ".join(missing)
    assert "train.teacher_weights" in text or (ROOT / "data").exists()
    assert ("supernet.device: cuda needs 1 GPU" in text) == (cuda_device.names() == [])
    assert "data.path" in text or (ROOT / "data" / "imagenet").exists()
    assert "onnxruntime" in json.loads(done.stdout)["machine"]["backends"]
