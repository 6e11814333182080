"""`stairprune fit`: candidates trained by real processes, stopped, continued, and refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import yaml
from safetensors.torch import save_file
from torchvision.models import resnet50
from typer.testing import CliRunner

from service.cli import app
from service.fit_spec import load
from service.spec import SpecError
from supernet.network import NetworkSpec
from supernet.resnet import ResNet
from training.teachers import TeacherError, teacher

ROOT = Path(__file__).parent.parent
NETWORK = {
    "depths": [2, 1], "width": 0.125, "stem": "3x3/1", "resolution": 8, "channels": 1,
    "classes": 10,
}  # fmt: skip
SPEC = NetworkSpec(**{**NETWORK, "depths": (2, 1)})  # type: ignore[arg-type]
RECIPE: dict[str, Any] = {
    "network": NETWORK,
    "data": {"name": "digits", "validation": 200},
    "cpu_threads": 1,
    "recipe": {"epochs": 2, "batch": 50, "lr": 0.1, "augment": False, "ema": 0.9},
}


def write(folder: Path, **changes: Any) -> tuple[Path, Path]:
    """A file with two candidates, and a recipe."""
    configs = [SPEC.uniform(0.5).to_json(), {"id": "c2", "config": SPEC.uniform(0.75).to_json()}]
    (folder / "best.json").write_text(json.dumps(configs))
    (folder / "recipe.yaml").write_text(yaml.safe_dump({**RECIPE, **changes}))
    return folder / "best.json", folder / "recipe.yaml"


def command(folder: Path, out: str, *more: str) -> list[str]:
    words = ["fit", str(folder / "best.json"), "--recipe", str(folder / "recipe.yaml")]
    return [*words, "--out", str(folder / out), "--json", *more]


def start(folder: Path, out: str, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "service.cli", *command(folder, out, *more)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.slow
def test_told_to_end_it_saves_and_the_same_command_continues(tmp_path: Path) -> None:
    longer = {**RECIPE["recipe"], "epochs": 12}
    write(tmp_path, recipe=longer, save_every_seconds=0.5)
    stopped = start(tmp_path, "a", "--top", "1")
    place = tmp_path / "a" / "best-1" / "seed-0"
    deadline = time.monotonic() + 120
    while not list(place.glob("checkpoints/step-*.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    stopped.send_signal(signal.SIGTERM)
    _, errors = stopped.communicate(timeout=20)
    assert stopped.returncode == 2, errors
    assert "about" in errors
    assert "GiB" in errors
    assert "stopped; the same command continues" in errors
    assert list((place / "checkpoints").glob("step-*.json"))
    begun = json.loads((max(place.glob("checkpoints/step-*.json"))).read_text())
    done = start(tmp_path, "a", "--top", "1")
    output, errors = done.communicate(timeout=200)
    assert done.returncode == 0, errors
    history = json.loads((place / "result.json").read_text())["history"]
    assert [row["epoch"] for row in history] == list(range(1, 13))
    kept = begun["value"]["state"]["history"]
    assert history[: len(kept)] == kept
    assert json.loads(output)["best-1"]["test"][0] > 0.3


@pytest.mark.slow
def test_several_at_a_time_with_a_teacher(tmp_path: Path) -> None:
    guide = ResNet(SPEC, SPEC.dense())
    save_file(guide.state_dict(), tmp_path / "teacher.safetensors")
    guide_spec = {"weights": str(tmp_path / "teacher.safetensors"), "cache": True}
    write(tmp_path, teacher=guide_spec)
    done = start(tmp_path, "out", "--parallel", "2")
    output, errors = done.communicate(timeout=200)
    assert done.returncode == 0, errors
    assert len(list((tmp_path / "out").glob("teacher-*.npy"))) == 1
    found = json.loads(output)
    assert {name: len(entry["test"]) for name, entry in found.items()} == {"best-1": 1, "best-2": 1}
    # Their accuracies may be equal, counted on some hundred images.
    weights = [path.read_bytes() for path in (tmp_path / "out").rglob("weights.safetensors")]
    assert len(set(weights)) == 2
    again = start(tmp_path, "out")
    assert json.loads(again.communicate(timeout=100)[0]) == found


def call(folder: Path, *more: str) -> str:
    """The error of a refused call."""
    done = CliRunner().invoke(app, command(folder, "out", *more))
    assert done.exception is not None
    return str(done.exception)


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "fit").glob("*.yaml")), ids=str)
def test_every_shipped_recipe_is_valid(path: Path) -> None:
    assert load(path).recipe.epochs > 1


def test_the_estimate_alone(tmp_path: Path) -> None:
    write(tmp_path)
    done = CliRunner().invoke(app, command(tmp_path, "out", "--estimate-only"))
    found = json.loads(done.stdout)
    assert found["steps"] == 2 * ((1797 - 359 - 200) // 50)
    assert 0 < found["seconds_per_step"] < 5
    assert found["bytes"] > 1 << 20
    assert not list((tmp_path / "out").rglob("weights.safetensors"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recipe": {"epochs": 0, "batch": 50, "lr": 0.1}}, ["epochs", "1"]),
        ({"recipe": {"epochs": 3, "batch": 50, "lr": 0.1, "hints": 1.0}}, ["hints"]),
        ({"data": {"name": "digits", "validatoin": 3}}, ["data.validatoin", "validation"]),
        ({"teacher": {"weights": "x", "weight": "y"}}, ["teacher.weight", "weights, timm"]),
        (
            {
                "teacher": {"weights": "x", "cache": True},
                "recipe": {"epochs": 3, "batch": 50, "lr": 0.1},
            },
            ["teacher.cache", "augment"],
        ),
        ({"device": "tpu"}, ["device", "cpu"]),
        ({"processes": 0}, ["processes", "1"]),
        ({"extra": 1}, ["extra", "network, data, recipe"]),
        ({"network": {**NETWORK, "depth": 3}}, ["network", "depths"]),
    ],
)
def test_a_wrong_recipe_is_one_line(
    tmp_path: Path, changes: dict[str, Any], words: list[str]
) -> None:
    _, recipe = write(tmp_path, **changes)
    with pytest.raises(SpecError) as caught:
        load(recipe)
    assert all(word in str(caught.value) for word in words), caught.value
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[]", "holds no config"),
        ("{", "Expecting property name"),
        ('{"stem": 8}', "exactly the keys"),
        ('[{"config": 3}]', "must be a JSON object"),
        (json.dumps(NetworkSpec().dense().to_json()), "depths"),
        ("[" * 100_000, "recursion"),
    ],
)
def test_wrong_candidates_are_one_line(tmp_path: Path, content: str, reason: str) -> None:
    write(tmp_path)
    (tmp_path / "best.json").write_text(content)
    assert reason in call(tmp_path)


def test_a_failure_names_the_training_and_its_reason(tmp_path: Path) -> None:
    write(tmp_path, data={"name": "imagefolder", "path": str(tmp_path), "validation": 20})
    assert "train is missing" in call(tmp_path)


def test_teachers_of_other_depths_and_widths_and_from_torchvision(tmp_path: Path) -> None:
    network = NetworkSpec(resolution=32, classes=1000)
    theirs = resnet50()
    torch.save({"state_dict": {f"module.{k}": v for k, v in theirs.state_dict().items()}},
               tmp_path / "r.pth")  # fmt: skip
    found = teacher(tmp_path / "r.pth", network)
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(found(images), theirs.eval()(images))
    spec = replace(SPEC, depths=(1, 3), width=0.2)
    deep = ResNet(spec, spec.uniform(0.5))
    save_file(deep.state_dict(), tmp_path / "deep.safetensors")
    assert teacher(tmp_path / "deep.safetensors", SPEC)(torch.zeros(1, 1, 8, 8)).shape == (1, 10)


def test_a_timm_teacher(tmp_path: Path) -> None:
    network = NetworkSpec(resolution=32, classes=7)
    theirs = timm.create_model("resnet18d", num_classes=7)
    save_file(theirs.state_dict(), tmp_path / "d.safetensors")
    found = teacher(tmp_path / "d.safetensors", network, timm="resnet18d")
    assert found(torch.zeros(1, 3, 32, 32)).shape == (1, 7)
    with pytest.raises(TeacherError, match=r"no model 'resnet18x'; near it: .*resnet18"):
        teacher(tmp_path / "d.safetensors", network, timm="resnet18x")


def test_files_that_are_no_teacher(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.system, ("echo ran > " + str(tmp_path / "ran"),)

    torch.save({"a": Evil()}, tmp_path / "evil.pth")
    (tmp_path / "text.pth").write_text("no weights")
    torch.save([1, 2], tmp_path / "list.pth")
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    wide = ResNet(SPEC, SPEC.dense()).state_dict()
    save_file({**wide, "fc.weight": torch.zeros(3, 128)}, tmp_path / "b.safetensors")
    for name, reason in (
        ("evil.pth", "cannot be read as weights"),
        ("text.pth", "cannot be read as weights"),
        ("none.pth", "cannot be read as weights"),
        ("list.pth", "holds no state dict"),
        ("a.safetensors", "not the weights of a ResNet"),
        ("b.safetensors", "weights of another network"),
    ):
        with pytest.raises(TeacherError, match=reason):
            teacher(tmp_path / name, SPEC)
    assert not (tmp_path / "ran").exists()
