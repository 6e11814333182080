"""A job's limits as the search's problem: several tables, bands, percentages."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from service_server import mini, modelled

from latency_tables.predict import Predictor
from latency_tables.shipped import find
from latency_tables.shipped import load as load_table
from latency_tables.table import TableError, TargetMismatchError
from search.feasibility import InfeasibleError, check
from search.problem import SearchError
from search.searcher import load as load_searcher
from service.job import Job
from service.pipeline import run, stages
from service.report_further import held_elsewhere
from service.spec import from_data, parse
from service.stages.search import settings
from service.store import RunFolder, write_json
from service.verdict import elsewhere
from supernet.arithmetic import encode, macs

CONFIG = Path(__file__).parent.parent / "configs" / "resnet50-224-cpu.yaml"
OWN, OTHER = "resnet50-224-ort-fp32-1t-epyc", "resnet50-224-ort-int8-1t-epyc"


def job(path: Path, extra: str) -> Job:
    """The real geometry's job with its table measured already, and these limits as well."""
    text = CONFIG.read_text(encoding="utf-8").replace("limits:\n", f"limits:\n{extra}")
    spec = parse(text)
    made = Job(spec, RunFolder(path))
    folder = made.file("profile", "")
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(find(OWN), folder / "table.json")
    space = made.full_space()
    write_json(folder / "space.json", {"names": space.names, "choices": space.choices})
    return made


def test_every_table_is_a_metric_and_percentages_are_of_its_dense(tmp_path: Path) -> None:
    made = job(
        tmp_path,
        f"  further:\n    int8: {{table: {OTHER}, latency_ms: 50%}}\n  at_least: {{macs: 35%}}\n",
    )
    problem = made.problem()
    assert list(problem.metrics) == ["macs", "params", "latency_ms", "latency_ms:int8"]
    limits = {c.metric: c for c in problem.constraints}
    dense = made.spec.network.dense()
    assert limits["macs"].floor == pytest.approx(0.35 * macs(made.spec.network, encode([dense]))[0])
    other = Predictor(load_table(OTHER))
    assert limits["latency_ms:int8"].limit == pytest.approx(0.5 * other.config(dense).predicted)
    check(problem)
    configs = load_searcher("random", problem, 0).ask(10)
    assert len(configs) == 10
    assert not problem.excess(encode(configs)).any()


def test_wrong_tables_and_bands_say_so(tmp_path: Path) -> None:
    missing = job(tmp_path / "a", "  further: {x: {table: no-such, latency_ms: 5}}\n")
    with pytest.raises(TableError, match="no-such is neither a file nor a shipped table"):
        missing.problem()
    with pytest.raises(SearchError, match="0 <= floor <= limit must hold for macs"):
        job(tmp_path / "b", "  at_least: {macs: 90%}\n").problem()
    text = CONFIG.read_text(encoding="utf-8").replace("resolution: 224", "resolution: 192")
    text = text.replace(
        "limits:\n", f"limits:\n  further: {{x: {{table: {OTHER}, latency_ms: 5}}}}\n"
    )
    other = Job(parse(text), RunFolder(tmp_path / "c"))
    shutil.copytree(tmp_path / "b" / "profile", other.file("profile", ""), dirs_exist_ok=True)
    with pytest.raises(TargetMismatchError, match="covers the network"):
        other.problem()


def test_another_table_of_the_same_name_is_another_search(tmp_path: Path) -> None:
    table = tmp_path / "table.json"
    keys = []
    for source in (OWN, OTHER):
        shutil.copy(find(source), table)
        made = job(tmp_path, f"  further: {{x: {{table: {table}, latency_ms: 50%}}}}\n")
        keys.append(settings(made.spec))
    assert keys[0] != keys[1]


def test_a_limit_on_another_target_is_held_by_prediction_and_said_to_be(tmp_path: Path) -> None:
    made = job(tmp_path, f"  further:\n    int8: {{table: {OTHER}, latency_ms: 6.0}}\n")
    assert "int8 are held by prediction" in elsewhere(made.spec.limits)
    predictor = made.predictors()["latency_ms:int8"]
    dense = made.spec.network.dense()
    upper = predictor.config(dense).upper
    assert held_elsewhere(predictor, dense, upper)["within"]
    found = held_elsewhere(predictor, dense, 0.99 * upper)
    assert not found["within"]
    assert "int8" in found["target"]
    assert elsewhere(parse(CONFIG.read_text(encoding="utf-8")).limits) == ""


def test_limits_that_nothing_meets_are_told_before_a_supernet_is_trained(tmp_path: Path) -> None:
    target = modelled()["target"]
    spec = from_data(mini(target=target, limits={"latency_ms": "1%"}))
    with pytest.raises(InfeasibleError, match="no config of the space has latency_ms <="):
        run(spec, tmp_path / "run")
    assert (tmp_path / "run" / "profile" / "done.json").exists()
    assert not (tmp_path / "run" / "supernet" / "checkpoints").exists()


def test_tables_that_come_after_the_supernet_are_not_waited_for(tmp_path: Path) -> None:
    """Those of further targets."""
    target = modelled()["target"]
    further = {"t4": {"target": {**target, "device": "t4"}, "latency_ms": "1%"}}
    spec = from_data(mini(target=target, limits={"further": further}))
    names = [stage.name for stage in stages(spec)]
    assert names.index("supernet") < names.index("profile-t4")
    with pytest.raises(InfeasibleError, match="no config of the space has latency_ms:t4 <="):
        run(spec, tmp_path / "run", until="search")
    assert (tmp_path / "run" / "supernet" / "done.json").exists()
