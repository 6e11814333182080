"""The supernet's part of a job: order of stages, options, processes that share the work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from service.job import Job
from service.pipeline import STAGES, in_order, run
from service.spec import JobSpec, SpecError, parse
from service.stages import supernet
from service.store import RunFolder, write_json

MINI = Path(__file__).parent / "mini.yaml"


def spec_with(**supernet_options: Any) -> JobSpec:
    job = yaml.safe_load(MINI.read_text())
    job["supernet"] |= supernet_options
    job["data"]["limit"] = 200
    job["supernet"]["recipe"]["epochs"] = job["train"]["teacher"]["epochs"] = 2
    return parse(yaml.safe_dump(job))


def names(spec: JobSpec, until: str = "report") -> list[str]:
    return [stage.name for stage in in_order(spec, until)]


def test_what_a_stage_reads_runs_before_it() -> None:
    assert names(spec_with()) == [stage.name for stage in STAGES]
    assert names(spec_with(), "supernet") == ["capacity", "supernet"]
    assert names(spec_with(), "search") == ["capacity", "profile", "supernet", "search"]
    sorted_start = spec_with(start="sorted", widths="narrowed")
    assert names(sorted_start, "supernet") == ["capacity", "profile", "teacher", "supernet"]
    everything = names(sorted_start)
    assert sorted(everything) == sorted(stage.name for stage in STAGES)
    for stage in STAGES:
        for before in stage.after(sorted_start):
            assert everything.index(before) < everything.index(stage.name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "ofa"}, "supernet.kind"),
        ({"kind": "pruningnet", "start": "sorted"}, "start: sorted needs kind: sliced"),
        ({"start": "zero"}, "supernet.start"),
        ({"workers": 0}, "supernet.workers"),
        (
            {"recipe": {"epochs": 2, "batch": 8, "lr": 0.1, "policy": "all"}},
            "supernet.recipe.policy",
        ),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        spec_with(**options)


def test_only_what_decides_a_result_is_in_its_key() -> None:
    plain = supernet.settings(spec_with())
    same = {"workers": 4, "worker_threads": 1, "scores": "a.sqlite", "tensorboard": True}
    assert supernet.settings(spec_with(**same)) == plain
    for option in ({"kind": "pruningnet"}, {"start": "teacher"}, {"processes": 2}):
        assert supernet.settings(spec_with(**option)) != plain


def job_of(folder: Path, spec: JobSpec) -> Job:
    folder.mkdir(parents=True)
    job = Job(spec, RunFolder(folder))
    space = job.full_space()
    narrowed = [widths[-2:] for widths in space.choices]
    (folder / "profile").mkdir()
    write_json(folder / "profile" / "space.json", {"choices": narrowed})
    return job


def test_a_pruningnet_trains_on_the_narrowed_space_and_scores(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    recipe = {"epochs": 1, "batch": 50, "lr": 0.1, "warmup_epochs": 0, "policy": "single"}
    options = {"kind": "pruningnet", "widths": "narrowed", "tensorboard": True, "recipe": recipe}
    job = job_of(tmp_path / "run", spec_with(**options))
    folder = tmp_path / "run" / "supernet"
    folder.mkdir()
    outputs = supernet.run(job, folder, lambda done, total, note: None)
    assert all((folder / name).exists() for name in outputs)
    assert list((folder / "tensorboard").iterdir())
    scores = [supernet.estimator(job)(job.space().largest()) for _ in range(2)]
    assert scores[0] == scores[1]
    assert (tmp_path / "run" / "scores.sqlite").exists()


def test_two_processes_train_from_the_sorted_teacher(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    spec = spec_with(start="sorted", processes=2)
    job = run(spec, tmp_path / "run", "supernet")
    history = job.json("supernet", "history.json")
    assert [row["epoch"] for row in history] == [1, 2]
    estimate = supernet.estimator(job)(job.full_space().largest())
    assert estimate == pytest.approx(history[-1]["val_accuracy_largest"], abs=0.05)
