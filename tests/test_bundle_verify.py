"""Every claim gets its verdict, and a false claim fails."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from bundles import CONFIG, NETWORK, edit, share
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from bundle.claims import read
from bundle.load import load
from bundle.manifest import CLAIMS, INT8, ONNX, WEIGHTS, BundleError
from bundle.reading import opened
from bundle.verify import Check, verify
from bundle.writing import pack, seal
from service.cli import app
from supernet.arithmetic import count


def checks(path: Path, **options: object) -> dict[str, Check]:
    with opened(path) as bundle:
        return {check.claim: check for check in verify(bundle, **options)}  # type: ignore[arg-type]


def test_a_true_bundle_passes_all_that_can_be_checked(made: Path) -> None:
    found = checks(made)
    assert {name for name, check in found.items() if check.verdict == "pass"} == {
        "files", "MACs", "params", "ONNX against weights", "accuracy, fp32", "accuracy, int8",
    }  # fmt: skip
    assert found["speed-up, fp32"].verdict == "not checked"
    assert "the same" in found["accuracy, fp32"].note


def test_latency_is_measured_beside_the_dense_network(made: Path) -> None:
    check = checks(made, latency=True)["speed-up, fp32"]
    assert check.verdict == "pass"
    assert "times" in check.found


def test_a_false_speed_up_fails_and_another_device_is_not_comparable(folder: Path) -> None:
    one = json.loads((folder / CLAIMS).read_text())["latency"][0]
    fast = {"median": 90.0, "lo": 80.0, "hi": 99.0}
    edit(folder, latency=[{**one, "times_dense": fast}])
    assert checks(folder, latency=True)["speed-up, fp32"].verdict == "fail"
    edit(folder, latency=[{**one, "target": {**one["target"], "device": "Abacus"}}])
    check = checks(folder, latency=True)["speed-up, fp32"]
    assert check.verdict == "not checked"
    assert "not comparable" in check.note
    assert "times" in check.found
    edit(folder, latency=[{**one, "target": {**one["target"], "runtime": "none"}}])
    check = checks(folder, latency=True)["speed-up, fp32"]
    assert check.verdict == "not checked"
    assert "backend must be one of" in check.note


@pytest.mark.parametrize(
    ("changes", "claim"),
    [
        ({"macs": 1}, "MACs"),
        ({"params": 1}, "params"),
        ({"accuracy": {"fp32": share(0.99, 359)}}, "accuracy, fp32"),
        ({"accuracy": {"int8": share(0.99, 359)}}, "accuracy, int8"),
    ],
)
def test_a_false_claim_fails(folder: Path, changes: dict[str, object], claim: str) -> None:
    edit(folder, **changes)
    found = checks(folder)
    assert [name for name, check in found.items() if check.verdict == "fail"] == [claim]


def test_a_bundle_that_claims_no_accuracy_proves_nothing(folder: Path) -> None:
    edit(folder, accuracy={})
    assert checks(folder)["accuracy"].verdict == "fail"
    done = CliRunner().invoke(app, ["verify", str(folder), "--json"])
    assert done.exit_code == 1
    assert "must claim the accuracy" in done.stdout


def test_weights_that_are_not_those_of_the_graph(folder: Path) -> None:
    state = load_file(folder / WEIGHTS)
    state["fc.bias"] += 1
    save_file(state, folder / WEIGHTS)
    seal(folder)
    assert checks(folder)["ONNX against weights"].verdict == "fail"
    state["fc.bias"][0] = torch.nan
    save_file(state, folder / WEIGHTS)
    seal(folder)
    assert "NaN" in checks(folder)["ONNX against weights"].note


def test_an_int8_file_of_another_network_is_noticed(folder: Path) -> None:
    shutil.copyfile(folder / ONNX, folder / INT8)
    seal(folder)
    edit(folder, accuracy={"int8": share(0.0, 359)})
    assert checks(folder)["accuracy, int8"].verdict == "fail"
    (folder / INT8).unlink()
    seal(folder)
    assert "is missing" in checks(folder)["accuracy, int8"].note


def test_intervals_are_those_of_the_share_and_its_images(folder: Path) -> None:
    true = json.loads((folder / CLAIMS).read_text())
    fp32 = true["accuracy"]["fp32"]
    edit(folder, accuracy={"fp32": share(fp32["test"], 10**9)})
    assert "these are 359" in checks(folder)["accuracy, fp32"].note
    elsewhere = {**true["data"], "fingerprint": "0" * 64}
    edit(folder, accuracy={"fp32": {**fp32, "lo": 0.0, "hi": 1.0}}, data=elsewhere)
    check = checks(folder)["accuracy, fp32"]
    assert check.verdict == "fail"
    assert "no 95 % interval" in check.note


def test_a_file_without_a_claim_is_not_passed_over(folder: Path) -> None:
    accuracy = json.loads((folder / CLAIMS).read_text())["accuracy"]
    edit(folder, accuracy={"fp32": accuracy["fp32"]})
    check = checks(folder)["accuracy, int8"]
    assert check.verdict == "not checked"
    assert "nothing is claimed" in check.note


def test_other_images_are_held_against_the_interval(made: Path, folder: Path) -> None:
    data = json.loads((folder / CLAIMS).read_text())
    edit(folder, data={**data["data"], "fingerprint": "0" * 64})
    assert "other images" in checks(folder)["accuracy, fp32"].note
    edit(folder, data={**data["data"], "name": "imagefolder"})
    found = checks(folder)["accuracy, fp32"]
    assert found.verdict == "not checked"
    assert found.note
    assert checks(folder, data=("digits", None))["accuracy, fp32"].verdict == "pass"


def test_a_loaded_network_is_a_plain_resnet(made: Path) -> None:
    net = load(str(made))
    assert not net.training
    assert sum(p.numel() for p in net.parameters()) == count(NETWORK, CONFIG)[1]
    assert {"conv1.weight", "layer1.0.downsample.0.weight", "fc.bias"} <= net.state_dict().keys()
    assert net(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


def test_what_a_bundle_says_is_shown_as_text(folder: Path, tmp_path: Path) -> None:
    def call(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, words)
        return done.exit_code, done.stdout

    edit(folder, name="[/x] [red]")
    code, text = call("verify", str(folder))
    assert code == 0
    assert "[/x] [red]" in text
    (folder / "README.md").write_bytes(b"\xff right on 99.99 %")
    seal(folder)
    code, text = call("bundle", "show", str(folder))
    assert code == 0
    assert "99.99" not in text
    assert "[/x] [red]" in text
    for verb in ("pack", "extract"):
        done = CliRunner().invoke(app, ["bundle", verb, str(folder), str(tmp_path / "no" / "x")])
        assert isinstance(done.exception, BundleError)
        assert "cannot be written" in str(done.exception)


def test_verbs(made: Path, tmp_path: Path) -> None:
    def call(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, words)
        return done.exit_code, done.stdout

    archive, place = tmp_path / "a.bundle.zip", tmp_path / "place"
    pack(made, archive)
    code, text = call("verify", str(archive), "--json")
    assert code == 0
    assert {check["verdict"] for check in json.loads(text)["checks"]} == {"pass", "not checked"}
    assert "accuracy, int8" in call("verify", str(archive))[1]
    assert json.loads(call("bundle", "show", str(archive), "--json")[1])["name"] == "test/found-1"
    assert call("bundle", "extract", str(archive), str(place))[0] == 0
    assert read(place, place).name == "test/found-1"
    edit(place, macs=1)
    assert call("verify", str(place))[0] == 1
    assert call("bundle", "pack", str(place), str(tmp_path / "b.zip"))[0] == 0
    assert call("verify", str(tmp_path / "b.zip"))[0] == 1
