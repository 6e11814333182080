"""Modelled tables through every door: built without timing, stamped, certifying nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from rich.console import Console, RenderableType
from typer.testing import CliRunner

from latency_tables.diff import diff
from latency_tables.fitting import fit_table
from latency_tables.frames import export, load_any
from latency_tables.predict import Predictor
from latency_tables.table import STAMP, LatencyTable, TableError, TargetMismatchError
from latency_tables.validate import validate
from profiler.backend import BackendError, load
from profiler.collect import session_of
from profiler.modelled.cost import total_ms
from profiler.models import piece
from profiler.plan import Goals
from service import table_diff
from service.cli import app
from service.doctor import missing
from service.kernel_view import explain
from service.pipeline import run
from service.spec import JobSpec, parse
from service.summary import search_result, summarise, summarise_search
from service.table_build import Request, build
from supernet.network import NetworkSpec
from supernet.shapes import BlockShape

MINI = Path(__file__).parent / "mini.yaml"
GOALS = Goals(
    points_per_geometry=24,
    target_error_percent=60,
    chains=4,
    networks_fit=12,
    networks_held_out=20,
)
REQUEST = Request(
    network="resnet50",
    resolution=224,
    backend="modelled",
    device="a100",
    precision="int8",
    batch=128,
    threads=1,
    lowest=0.25,
    goals=GOALS,
    rounds=3,
)


def said(*words: str) -> str:
    """What a verb prints, white space apart: terminals break lines."""
    done = CliRunner().invoke(app, [*words])
    assert done.exit_code == 0, done.exception
    return " ".join(done.stdout.split())


def shown(renderable: RenderableType) -> str:
    """What a terminal shows, white space apart."""
    console = Console(file=StringIO(), width=200)
    with console.capture() as capture:
        console.print(renderable)
    return " ".join(capture.get().split())


def answer(*words: str) -> Any:
    return json.loads(said(*words, "--json"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("modelled") / "a100.json"
    journal = path.with_name("a100.journal.jsonl")
    journal.write_text("what another target measured\n", encoding="utf-8")
    build(REQUEST, path)
    assert journal.read_text(encoding="utf-8") == "what another target measured\n"
    return path


@pytest.fixture(scope="module")
def table(built: Path) -> LatencyTable:
    return LatencyTable.load(built)


def as_measured(table: LatencyTable) -> LatencyTable:
    """The same rows under a measured target."""
    return replace(table, target=replace(table.target, runtime="tensorrt"), fitted=None)


def test_building_again_gives_the_same_file(built: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.json"
    build(REQUEST, again)
    assert again.read_bytes() == built.read_bytes()


def test_the_file_says_modelled_and_whose_figures_they_are(
    built: Path, table: LatencyTable
) -> None:
    assert json.loads(built.read_text(encoding="utf-8"))["target"]["runtime"] == "modelled"
    assert table.target.modelled
    assert "white paper" in table.target.details["source"]
    assert STAMP in str(table.target)
    assert table.sentinel == ()


def test_a_file_keeps_the_fit_that_belongs_to_it(built: Path, table: LatencyTable) -> None:
    assert json.loads(built.read_text(encoding="utf-8"))["fingerprint"] == table.fingerprint
    assert table.fitted is not None
    assert table.fitted.fingerprint == table.fingerprint


def test_the_table_prices_networks_as_the_model_does(table: LatencyTable) -> None:
    """Even with few points; `docs/modelled-gpus.md` has the error of a full one."""
    predictor = Predictor(table)
    assert predictor.held_out.points == 20
    assert predictor.held_out.mape_percent < 6
    assert predictor.held_out.mape_percent < predictor.held_out.flops_linear_mape_percent
    dense = table.network.dense()
    exact = total_ms(table.network.shapes(dense), "a100", 128, "int8")
    assert predictor.config(dense).predicted == pytest.approx(exact, rel=0.1)


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json"])
def test_the_stamp_survives_every_format(table: LatencyTable, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"table{suffix}"
    export(table, path)
    assert load_any(path).target.modelled
    assert LatencyTable.from_pandas(table.to_pandas()).dumps() == table.dumps()
    if suffix == ".csv":
        assert '"runtime": "modelled"' in path.read_text(encoding="utf-8").splitlines()[0]
        assert len(pd.read_csv(path, comment="#")) > len(table.rows)


def test_every_verb_that_shows_a_figure_shows_the_stamp(built: Path) -> None:
    name = str(built)
    one = ("profile", "--backend", "modelled", "--device", "t4", "--block", "stage3.1")
    for words in (
        ("table", "show", name),
        ("price", "--config", "resnet50", "--table", name),
        ("table", "snap", name, "--config", "metapruning-2g"),
        ("table", "explain", name, "--block", "stage3.1"),
        (*one, "--width", "w=56..72"),
    ):
        assert STAMP in said(*words), words
        assert answer(*words)["origin"] == "modelled", words
    assert "not of the model to a device" in said("table", "show", name)
    assert "measured:" not in said("table", "show", name)


@pytest.mark.parametrize("what", ["stairs", "networks", "roofline"])
def test_titles_of_plots_show_the_stamp(built: Path, what: str, tmp_path: Path) -> None:
    page = tmp_path / "plot.html"
    said("table", "plot", str(built), "--what", what, "--out", str(page))
    assert STAMP in page.read_text(encoding="utf-8")
    picture = tmp_path / "plot.png"
    said("table", "plot", str(built), "--what", what, "--out", str(picture))
    assert picture.stat().st_size > 5000


def test_a_modelled_table_is_none_of_a_measured_target(table: LatencyTable) -> None:
    for measured in (load("onnxruntime").target("int8", 128, 1), as_measured(table).target):
        with pytest.raises(TargetMismatchError, match="table is modelled, but a measured one"):
            table.require(measured)
    table.require(load("modelled", "a100").target("int8", 128, 1))
    with pytest.raises(TargetMismatchError, match="device is 'NVIDIA A100 SXM4 40GB'"):
        table.require(load("modelled", "h100").target("int8", 128, 1))


def test_a_difference_says_what_it_compares(table: LatencyTable) -> None:
    measured = fit_table(as_measured(table))
    for other, words in (
        (measured, "a modelled table against a measured one"),
        (table, "both tables are modelled"),
    ):
        found = diff(table, other)
        assert found.to_json()["origins"][0] == "modelled"
        assert words in shown(table_diff.render(found))
    plain = diff(measured, measured)
    assert "modelled" not in shown(table_diff.render(plain))


def test_nothing_can_be_timed_on_a_modelled_target(built: Path, table: LatencyTable) -> None:
    shape = BlockShape(14, 1, "identity", 64, 16, 16, 64)
    with pytest.raises(BackendError, match="target is modelled"):
        session_of(table.target, {"one": piece(shape)})
    failed = CliRunner().invoke(app, ["table", "replay", str(built), "--random", "1"])
    assert isinstance(failed.exception, TableError)
    assert "nothing to time them on" in str(failed.exception)


def test_validation_warns_that_it_is_modelled(table: LatencyTable) -> None:
    warnings = [found.text for found in validate(table) if found.level == "warning"]
    assert STAMP in warnings
    assert not any("memory" in text or "drift" in text for text in warnings)


def test_an_explanation_adds_up_and_is_of_modelled_tables_only(table: LatencyTable) -> None:
    dense = table.network.dense()
    found = explain(table, dense, None)
    exact = total_ms(table.network.shapes(dense), "a100", 128, "int8")
    assert found["total_ms"] == pytest.approx(exact)
    conv = next(k for k in found["kernels"] if (k["piece"], k["kernel"]) == ("stage3.1", "conv1"))
    assert conv["gemm"] == {"m": 128 * 14 * 14, "n": 256, "k": 1024}
    assert conv["plan"]["waves"] >= 1
    assert conv["bound"] in ("compute", "memory", "start")
    with pytest.raises(TableError, match="only modelled tables"):
        explain(as_measured(table), dense, None)
    with pytest.raises(TableError, match=r"one of stem, stage1\.0, .*, but got 'stage9'"):
        explain(table, dense, "stage9")


def job(**target: object) -> JobSpec:
    data = yaml.safe_load(MINI.read_text(encoding="utf-8"))
    data["target"] = target
    return parse(yaml.safe_dump(data))


def test_doctor_names_the_devices_of_a_job_that_asks_for_another() -> None:
    assert missing(job(backend="modelled", device="orin", precision="int8")) == []
    (lack,) = missing(job(backend="modelled", device="a10"))
    assert lack.startswith("target.device: ")
    assert "h100" in lack
    (lack,) = missing(job(device="a100"))
    assert "device of onnxruntime is the one that it runs on" in lack


def test_a_job_takes_no_table_of_the_other_origin(built: Path, tmp_path: Path) -> None:
    data = yaml.safe_load(MINI.read_text(encoding="utf-8"))
    data["profile"] = {"table": str(built)}
    with pytest.raises(TargetMismatchError, match="table is modelled, but a measured one"):
        run(parse(yaml.safe_dump(data)), tmp_path / "run", "profile")


@pytest.mark.slow
def test_a_whole_modelled_job_never_certifies_its_budget(tmp_path: Path) -> None:
    """Every network lies far within 300 % of the dense one, and none may be said to keep it."""
    spec = job(backend="modelled", device="t4", precision="fp16", batch=8)
    done = run(spec, tmp_path / "run")
    report = json.loads((tmp_path / "run" / "report.json").read_text(encoding="utf-8"))
    assert report["origin"] == "modelled"
    assert "latency budget is not certified" in report["caveat"]
    entries = [report["dense"], report["uniform"], *report["found"]]
    for entry in entries:
        assert entry["latency_ms"]["ceiling"] < report["budget"]["latency_ms"]
        assert entry["meets"] is False
        config = entry["config"]
        assert entry["latency_ms"]["measured"] == pytest.approx(exact_ms(spec.network, config))
    text = shown(summarise(report)) + shown(summarise_search(search_result(done)))
    assert text.count(STAMP) == 2
    assert text.count("not certified") == len(entries) + 2
    assert f"{report['found'][0]['macs']:,}" in shown(summarise_search(search_result(done)))
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert page.count("not certified") >= len(entries) + 1
    assert STAMP in page
    assert not (tmp_path / "run" / "profile" / "journal.jsonl").exists()


def exact_ms(network: NetworkSpec, config: dict[str, Any]) -> float:
    from supernet.config import ChannelConfig

    return total_ms(network.shapes(ChannelConfig.from_json(config)), "t4", 8, "fp16")
