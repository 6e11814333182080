"""Criteria in a job: what is asked first, trainings of their own, and networks cut by them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from test_service_supernet import spec_with
from typer.testing import CliRunner

from search.metrics import Macs
from search.problem import Constraint, Problem, SearchError
from service import proposals, single
from service.cli import app
from service.job import Job
from service.spec import JobSpec, SpecError, parse
from service.stages import search
from service.store import RunFolder
from supernet.arithmetic import encode
from supernet.config import ChannelConfig
from supernet.resnet import ResNet
from supernet.weights import save_weights


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def with_search(**options: object) -> JobSpec:
    job = spec_with().model_dump(mode="json")
    job["search"] |= {"objective": "macs", **options}
    return parse(json.dumps(job))


class Small(Job):
    """A job whose teacher is there, and whose only limit is on MACs: nothing is measured."""

    def problem(self) -> Problem:
        metric = Macs(network=self.spec.network)
        limit = 0.5 * float(metric(encode([self.spec.network.dense()]))[0])
        return Problem(
            space=self.full_space(),
            metrics={"macs": metric},
            constraints=(Constraint(metric="macs", limit=limit),),
        )


def job_of(folder: Path, spec: JobSpec) -> Small:
    torch.manual_seed(0)
    (folder / "teacher").mkdir(parents=True)
    save_weights(
        ResNet(spec.network, spec.network.dense()), folder / "teacher" / "teacher.safetensors"
    )
    return Small(spec, RunFolder(folder))


def silent(done: int, total: int, note: str) -> None:
    """Nobody watches."""


def test_the_search_asks_first_what_criteria_propose(tmp_path: Path) -> None:
    spec = with_search(first=["l1", "soft", "l1+fpgm"], evaluations=16, generation=8)
    assert search.reads(spec) == ("profile", "teacher")
    job = job_of(tmp_path, spec)
    folder = tmp_path / "search"
    folder.mkdir()
    assert search.FIRST in search.run(job, folder, silent)
    first = json.loads((folder / search.FIRST).read_text())
    assert sorted(first) == ["l1", "l1+fpgm", "soft"]
    configs = {ChannelConfig.from_json(config) for config in first.values()}
    assert not job.problem().excess(encode(list(configs))).any()
    asked = json.loads((folder / "search.json").read_text())["candidates"]
    assert configs <= {ChannelConfig.from_json(c["config"]) for c in asked[:8]}
    (trained,) = (tmp_path / "criteria").iterdir()
    assert trained.name.startswith("soft-")
    assert (trained / "weights.safetensors").exists()


def test_searchers_without_seeds_and_unknown_criteria_are_refused(tmp_path: Path) -> None:
    job = job_of(tmp_path, with_search(first=["l1"], searcher="random"))
    with pytest.raises(SearchError, match=r"search\.first needs .* option seeds, but got random"):
        search.run(job, tmp_path, silent)
    with pytest.raises(SpecError, match=r"search: first: criteria are fpgm, .* but got 'l7'"):
        with_search(first=["l7"])


def test_a_spec_without_criteria_keeps_its_key() -> None:
    key = search.settings(with_search())
    assert isinstance(key, dict)
    assert "first" not in key["search"]
    assert search.settings(with_search(first=["l1"])) != key


def test_a_cut_network_is_fine_tuned_apart_from_one_from_scratch(tmp_path: Path) -> None:
    job = job_of(tmp_path, with_search())
    config = proposals.proposals(job, job.problem(), ("l1",), silent)["l1"]
    assert proposals.pruned(job, config, "l1", silent).config == config
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config.to_json()))
    cut = single.train(job, tmp_path, path, "l1")
    anew = single.train(job, tmp_path, path)
    assert Path(cut["folder"]) == Path(anew["folder"]) / "from-l1"
    for outcome in (cut, anew):
        assert (Path(outcome["folder"]) / "weights.safetensors").exists()
        assert 0 <= outcome["test"] <= 1


def test_verbs_say_what_they_need(tmp_path: Path) -> None:
    for arguments in (
        ["train", "job.yaml", "--start", "l1"],
        ["supernet", "propose", "job.yaml", "--criteria", "l9"],
    ):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code != 0
        assert "needs --config" in str(result.exception) or "l9" in str(result.exception)
