"""What a finished search shows: figures, plots, files, comparison, and which genes matter."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from search.export import FORMATS, export
from search.history import History
from search.importance import importance
from search.loop import run
from search.plots import KINDS, plot
from search.problem import Constraint, Problem, SearchError
from search.searcher import Candidate
from search.stored import Stored
from search.studies import Mirror, storage, trial_of
from search.views import compare, describe, layer_names, layer_widths, running_best
from service.cli import app
from supernet.arithmetic import encode, macs
from supernet.config import ChannelConfig
from supernet.network import NetworkSpec
from supernet.space import SearchSpace

NETWORK = NetworkSpec(depths=(1, 2), width=0.25, resolution=32, classes=10)
SPACE = SearchSpace.from_ratios(NETWORK, [0.25, 0.5, 0.75, 1.0])
PROBLEM = Problem(
    space=SPACE,
    metrics={
        "macs": lambda rows: macs(NETWORK, rows),
        "latency_ms": lambda rows: rows.sum(axis=1) / 1000,
    },
    constraints=(Constraint(metric="macs", limit=7e5),),
)


def score(config: ChannelConfig) -> float:
    """Depends on the stem and the first stage alone, but for what fails."""
    if config.stages[1] == 32:
        raise RuntimeError("no room")
    return 3.0 * config.stem + config.stages[0]


def searched(folder: Path, seed: int = 0) -> Stored:
    run(
        PROBLEM,
        "random",
        {"near": 0.0},
        score,
        seed=seed,
        evaluations=60,
        generation=20,
        folder=folder,
        evaluator_id="sum",
    )
    return Stored.read(folder)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    return searched(tmp_path_factory.mktemp("search"))


def test_a_stored_search_is_what_was_searched(stored: Stored) -> None:
    assert stored.space == SPACE
    assert stored.limits == {"macs": 7e5}
    assert stored.settings["searcher"] == "random"
    assert stored.metric(None) == "latency_ms"
    assert stored.history == History.load(Path(stored.name) / "search.json")


def test_description_counts_and_names_the_best(stored: Stored) -> None:
    found = describe(stored)
    history = stored.history
    assert found["scored"] + found["failed"] == found["proposed"] == 60
    assert found["first_failure"] == "RuntimeError: no room"
    assert history.best is not None
    assert found["best"]["estimate"] == max(c.estimate or 0 for c in history.scored)
    assert history.scored[found["best_found_at"] - 1] == history.best
    costs = [entry["costs"]["latency_ms"] for entry in found["front"]]
    assert costs == sorted(costs, reverse=True)
    json.dumps(found, allow_nan=False)


def test_importance_finds_the_genes_that_matter(stored: Stored) -> None:
    found = importance(stored.space, stored.history)
    assert list(found.total)[:2] == ["stage1", "stem"]
    assert sum(found.total.values()) == pytest.approx(1)
    assert found.total["stage1"] + found.total["stem"] > 0.95
    assert found.error < 0.1


def test_importance_of_a_product_lies_in_the_pair() -> None:
    rng = np.random.default_rng(0)
    configs = list({SPACE.sample(rng) for _ in range(200)})
    genes = SPACE.genes(configs) / SPACE.genes([SPACE.largest()]) - 0.625
    estimates = (genes[:, 0] * genes[:, 3]).tolist()
    history = History(
        candidates=tuple(
            Candidate(config=config, costs={}, estimate=estimate)
            for config, estimate in zip(configs, estimates, strict=True)
        )
    )
    found = importance(SPACE, history)
    assert found.pairs["stem"] + found.pairs[SPACE.names[3]] > 0.9


def test_importance_needs_something_to_explain() -> None:
    with pytest.raises(SearchError, match=r"20 scored configs .* but got 0"):
        importance(SPACE, History())


@pytest.mark.parametrize("what", KINDS)
@pytest.mark.parametrize("suffix", [".png", ".html"])
def test_every_plot_is_drawn(stored: Stored, tmp_path: Path, what: str, suffix: str) -> None:
    file = tmp_path / f"{what}{suffix}"
    plot(stored, what, file)
    data = file.read_bytes()
    assert data.startswith(b"\x89PNG") if suffix == ".png" else b"plotly" in data
    assert len(data) > 5000


def test_plots_refuse_what_they_cannot_draw(stored: Stored, tmp_path: Path) -> None:
    for what, name, metric, rule in (
        ("pie", "a.png", None, "one of front, parallel, widths, progress, importance"),
        ("front", "a.gif", None, r"\.html or \.png"),
        ("front", "a.png", "watts", "one of macs, latency_ms"),
    ):
        with pytest.raises(SearchError, match=rule):
            plot(stored, what, tmp_path / name, metric)


def test_exports_hold_every_candidate(stored: Stored, tmp_path: Path) -> None:
    for suffix in FORMATS:
        export(stored, tmp_path / f"search{suffix}")
    csv = pd.read_csv(tmp_path / "search.csv")
    assert list(csv.columns) == [*SPACE.names, "macs", "latency_ms", "estimate", "failure"]
    parquet = pd.read_parquet(tmp_path / "search.parquet")
    for frame in (csv, parquet):
        assert frame[list(SPACE.names)].to_numpy().tolist() == [
            SPACE.genes([c.config])[0].tolist() for c in stored.history.candidates
        ]
        assert frame["estimate"].notna().sum() == len(stored.history.scored)
        assert frame["failure"].notna().sum() == len(stored.history.failed)
    data = json.loads((tmp_path / "search.json").read_text())
    assert History.from_json(data) == stored.history
    with pytest.raises(SearchError, match=r"\.csv, \.parquet"):
        export(stored, tmp_path / "search.xlsx")


@pytest.mark.parametrize("suffix", [".db", ".log"])
def test_a_study_shows_values_widths_and_limits(
    stored: Stored, tmp_path: Path, suffix: str
) -> None:
    import optuna

    export(stored, file := tmp_path / f"study{suffix}")
    where = f"sqlite:///{file}" if suffix == ".db" else str(file)
    study = optuna.load_study(study_name="stairprune", storage=storage(where))
    assert stored.history.best is not None
    assert study.best_value == stored.history.best.estimate
    assert len(study.trials) == len(stored.history.candidates)
    best = stored.history.best
    assert study.best_params == dict(
        zip(SPACE.names, SPACE.genes([best.config])[0].tolist(), strict=True)
    )
    assert all(trial.constraints["macs"] <= 0 for trial in study.trials)
    with pytest.raises(SearchError, match="exists"):
        export(stored, file)


def test_a_mirror_follows_its_own_search_only(stored: Stored, tmp_path: Path) -> None:
    where = str(tmp_path / "study.log")
    trials = [trial_of(SPACE, c, stored.limits) for c in stored.history.scored[:4]]
    for number, trial in enumerate(trials[:3]):
        Mirror(where, "one").put(number, trial)
    again = Mirror(where, "one")
    for number, trial in enumerate(trials):
        again.put(number, trial)
    with pytest.raises(SearchError, match="of another search"):
        Mirror(where, "one").put(0, trials[1])
    with pytest.raises(SearchError, match="cannot be opened"):
        storage("nosuchdatabase://x")


def test_comparison_has_one_reference_for_both(stored: Stored, tmp_path: Path) -> None:
    other = searched(tmp_path, seed=1)
    found = compare(stored, other)
    assert found["same_objective"]
    assert found["same_limits"]
    for side, one in zip(found["searches"], (stored, other), strict=True):
        assert one.history.best is not None
        assert side["best"]["estimate"] == one.history.best.estimate
        assert side["hypervolume"] > 0
    twice = compare(stored, stored)
    assert twice["searches"][0] == twice["searches"][1]
    assert twice["scored_by_both"] == len(stored.history.scored)


def test_running_best_counts_failures_and_skips_what_was_not_tried() -> None:
    def candidate(estimate: float | None, failure: str | None = None) -> Candidate:
        return Candidate(config=SPACE.smallest(), costs={}, estimate=estimate, failure=failure)

    line = [candidate(None, "x"), candidate(1.0), candidate(None), candidate(0.5), candidate(2.0)]
    found = running_best(line)
    assert np.isnan(found[0])
    assert found[1:] == [1.0, 1.0, 2.0]


def test_layers_are_all_convolutions() -> None:
    config = ChannelConfig(8, (32, 64), ((16, 15), (32, 31), (0, 0)))
    names, widths = layer_names(NETWORK), layer_widths(NETWORK, config)
    assert dict(zip(names, widths, strict=True)) == {
        "stem": 8,
        "1.0 conv1": 16, "1.0 conv2": 15, "1.0 conv3": 32,
        "2.0 conv1": 32, "2.0 conv2": 31, "2.0 conv3": 64,
        "2.1 conv1": 0, "2.1 conv2": 0, "2.1 conv3": 64,
    }  # fmt: skip
    assert encode([config]).shape == (1, 9)


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 1}', '{"schema": 1, "fingerprint": 3}'])
def test_what_is_no_search_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SearchError, match="no search here"):
        Stored.read(tmp_path)
    (tmp_path / "search.json").write_text(text)
    with pytest.raises(SearchError, match=r"search\.json"):
        Stored.read(tmp_path)


def invoke(*words: str) -> str:
    result = CliRunner().invoke(app, ["search", *words])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_line_shows_draws_exports_and_compares(stored: Stored, tmp_path: Path) -> None:
    folder = stored.name
    assert json.loads(invoke("show", folder, "--json")) == json.loads(json.dumps(describe(stored)))
    assert "found at scored config" in invoke("show", folder)
    invoke("plot", folder, "--what", "widths", "--out", str(tmp_path / "widths.png"))
    invoke("export", folder, "--out", str(tmp_path / "all.csv"))
    assert (tmp_path / "widths.png").exists()
    assert len(pd.read_csv(tmp_path / "all.csv")) == 60
    assert json.loads(invoke("compare", folder, folder, "--json"))["scored_by_both"] > 0
    assert "hypervolume" in invoke("compare", folder, folder)
    assert set(json.loads(invoke("searchers", "--json"))) >= {"evolution", "predictor", "optuna"}
    assert "predictor" in invoke("searchers")


@pytest.mark.parametrize("verb", ["run", "show", "plot", "export", "compare", "searchers"])
def test_every_verb_has_help(verb: str) -> None:
    assert "Usage" in invoke(verb, "--help")


def test_a_job_is_still_searched_without_a_verb() -> None:
    result = CliRunner().invoke(app, ["search", "none.yaml"])
    assert "none.yaml" in str(result.exception)
    result = CliRunner().invoke(app, ["search", "--runs", "elsewhere", "none.yaml"])
    assert "none.yaml" in str(result.exception)
