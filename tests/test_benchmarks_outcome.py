"""The outcome study: every method keeps the budget, and the figures are what they say."""

from __future__ import annotations

import json
import os
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
import yaml

from benchmarks.outcome import images, methods, work
from benchmarks.outcome.__main__ import pieces
from benchmarks.outcome.report import gains, interval
from benchmarks.outcome.study import METHODS, Study, name
from benchmarks.pieces import Piece, Row, done, work_off
from search.problem import SearchError
from service import pipeline
from service.spec import from_data
from service.spec import load as load_spec
from supernet.arithmetic import encode
from supernet.config import ChannelConfig
from supernet.resnet import ResNet
from training.data import load

ROOT = Path(__file__).parent.parent
MINI = ROOT / "tests" / "mini.yaml"
RESULTS = sorted((ROOT / "benchmarks" / "results").glob("outcome-*.json"))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A profiled study of a small network on a modelled GPU, where nothing needs measuring."""
    folder = tmp_path_factory.mktemp("study")
    spec = yaml.safe_load(MINI.read_text(encoding="utf-8"))
    spec["network"] |= {"width": 1.0, "resolution": 32, "channels": 3}
    spec["space"] = {"lowest": 0.1, "step": 0.03}
    spec["target"] = {"backend": "modelled", "device": "t4", "precision": "int8", "batch": 8}
    found = Study(from_data(spec), (1.2, 1.5), folder)
    pipeline.run(found.spec, folder / "job", until="profile")
    return found


def test_the_studies_can_be_read(tmp_path: Path) -> None:
    files = sorted((ROOT / "benchmarks" / "outcome").glob("*.yaml"))
    speedups = {Study.of(file, tmp_path).speedups for file in files}
    assert speedups == {(1.5, 2.5, 4), (1.5, 2.5, 3), (2.5,)}


def test_what_was_found_comes_before_its_rivals(study: Study) -> None:
    names = [piece.name for piece in pieces(study, "cpu")]
    assert names[:4] == ["teacher", "supernet", "found@1.2", "found@1.5"]
    assert names[4:7] == ["dense seed 0", "found@1.2 seed 0", "found@1.5 seed 0"]
    assert not any("found" in name or "dense" in name for name in names[7:])
    assert len(names) == len(set(names)) == 2 + 12 + 13
    assert {need for piece in pieces(study, "cpu") for need in piece.needs} <= set(names)


def test_a_speed_that_no_uniform_network_has_is_told(study: Study) -> None:
    with pytest.raises(SearchError, match="no uniform network is 1000 times as fast"):
        methods.uniform(study, 1000)


def widths(config: ChannelConfig) -> float:
    """An estimate that likes wide first layers."""
    row = encode([config])[0].astype(float)
    return float(np.log(np.maximum(row, 1)) @ np.linspace(2, 1, len(row)))


@pytest.mark.parametrize("speedup", [1.2, 1.5])
@pytest.mark.parametrize("method", list(METHODS))
def test_every_method_keeps_the_budget(
    study: Study, method: str, speedup: float, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    teacher = ResNet(study.spec.network, study.spec.network.dense()).eval()
    data = load("digits", resolution=32, channels=3, val_size=200)
    match method:
        case "uniform":
            config = methods.uniform(study, speedup)
        case "found":
            config = methods.found(study, speedup, lambda: widths, tmp_path, teacher, data)
        case "random":
            config = methods.random(study, speedup, lambda: widths, tmp_path)
        case "macs":
            config = methods.macs(study, speedup, lambda: widths, tmp_path)
        case _:
            config = methods.criterion(study, speedup, method, teacher, data)
    problem = study.narrowed(speedup) if method == "found" else study.plain(speedup)
    assert problem.excess(encode([config]))[0] == 0
    if method != "uniform":
        problem.space.check(config)


def add(rows: dict[str, Row], file: str, one: str, other: str) -> Row:
    """A piece that leaves a trace of each call."""
    with Path(file).open("a", encoding="utf-8") as trace:
        trace.write("called\n")
    return {"sum": rows[one]["sum"] + rows[other]["sum"]}


def one(rows: dict[str, Row], file: str) -> Row:
    return {"sum": 1}


def test_pieces_wait_for_what_they_need_and_are_done_once(tmp_path: Path) -> None:
    trace, file = str(tmp_path / "trace"), tmp_path / "rows.jsonl"
    pieces = [
        Piece("four", ("two",), add, (trace, "two", "two")),
        Piece("two", ("one",), add, (trace, "one", "one")),
        Piece("one", (), one, (trace,)),
    ]
    rows = work_off(pieces, file, workers=2, minutes=9)
    assert rows["four"] == {"sum": 4}
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join(lines[:2]) + lines[2][:9], encoding="utf-8")  # killed while writing
    assert list(done(file)) == ["one", "two"]
    assert work_off(pieces, file, workers=1, minutes=9)["four"] == {"sum": 4}
    assert set(done(file)) == {"one", "two", "four"}
    assert Path(trace).read_text(encoding="utf-8").count("called") == 3


def test_a_piece_that_fails_ends_the_work_and_loses_nothing(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    pieces = [Piece("one", (), one, ("",)), Piece("bad", ("one",), add, ("/", "one", "none"))]
    with pytest.raises(OSError, match="/"):
        work_off(pieces, file, workers=1, minutes=9)
    assert done(file) == {"one": {"sum": 1}}


def sleeps(rows: dict[str, Row], file: str) -> Row:
    Path(file).write_text(str(os.getpid()), encoding="utf-8")
    time.sleep(60)
    return {}


def test_pieces_end_with_a_run_that_is_killed(tmp_path: Path) -> None:
    """Else the next run and they would write into the same folders."""
    started = tmp_path / "started"
    piece = [Piece("one", (), sleeps, (str(started),))]
    keys = {"workers": 1, "minutes": 9}
    run = get_context("spawn").Process(target=work_off, args=(piece, tmp_path / "f"), kwargs=keys)
    run.start()
    while not (started.exists() and started.read_text(encoding="utf-8")):
        assert run.is_alive()
        time.sleep(0.05)
    worker = psutil.Process(int(started.read_text(encoding="utf-8")))
    run.kill()
    run.join()
    psutil.wait_procs([worker], timeout=30)
    assert not worker.is_running()


def test_a_piece_that_can_never_start_is_told(tmp_path: Path) -> None:
    lone = [Piece("two", ("one",), add, ("", "one", "one"))]
    with pytest.raises(ValueError, match="two needs what is not among the pieces"):
        work_off(lone, tmp_path / "rows.jsonl", workers=1, minutes=9)


def test_gains_are_differences_of_seeds() -> None:
    tests = {name("found", 1.5): [0.9, 0.8], name("uniform", 1.5): [0.8, 0.7], "dense": [0.9, 0.9]}
    found = gains([1.5, 4], tests)["1.5"]
    assert found["uniform"]["mean"] == pytest.approx(10)
    assert found["uniform"]["low"] == pytest.approx(found["uniform"]["high"])
    assert found["dense"]["mean"] == pytest.approx(-5)
    assert gains([1.5, 4], tests)["4"] == {}
    assert interval([0.5]) == {"mean": 0.5, "low": None, "high": None}


@pytest.mark.parametrize("file", RESULTS, ids=lambda path: path.stem)
def test_the_published_figures_follow_from_their_rows(file: Path) -> None:
    figures = json.loads(file.read_text(encoding="utf-8"))
    networks, speedups = figures["networks"], figures["speedups"]
    assert set(networks) == {"dense", *(name(m, s) for s in speedups for m in METHODS)}
    assert figures["gains"] == gains(
        speedups, {label: row["test"] for label, row in networks.items()}
    )
    for row in networks.values():
        assert interval(row["test"]) == {key: row[key] for key in ("mean", "low", "high")}
        assert row["faster"]["lo"] <= row["faster"]["median"] <= row["faster"]["hi"]


def test_a_study_trains_on_its_own_images(tmp_path: Path) -> None:
    small = Study(load_spec(MINI), (), tmp_path)
    images.pack(small)
    rows = {"teacher": work.teacher({}, small, "cpu")}
    assert work.supernet({}, small, "cpu")["history"]
    assert (tmp_path / work.SUPERNET).exists()
    for row in (rows["teacher"], work.net(rows, small, "cpu", "dense", 0)):
        assert 0 <= row["test"] <= 1
