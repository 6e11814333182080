"""A job on a GPU: what it trains and scores there. Run with `pytest -m gpu` where there is one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from service_server import mini

from service import pipeline
from service.spec import JobSpec

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
]


def test_a_job_trains_and_scores_on_the_gpu_with_any_number_of_workers(tmp_path: Path) -> None:
    target = {"backend": "modelled", "device": "a100", "precision": "int8", "batch": 128}
    found = []
    for workers in (1, 2):
        cuda = {"device": "cuda"}
        text = json.dumps(mini(target=target, supernet={**cuda, "workers": workers}, train=cuda))
        folder = tmp_path / str(workers)
        if workers == 2:  # with the same supernet: trainings on a GPU do not repeat their bits
            for stage in ("capacity", "profile", "supernet"):
                shutil.copytree(tmp_path / "1" / stage, folder / stage)
        job = pipeline.run(JobSpec.model_validate_json(text), folder, "train")
        rows = job.json("search", "search.json")["candidates"]
        found.append([row["estimate"] for row in rows])
        assert job.json("train", "accuracy.json")["test"]["found-1"][0] > 0.05
    assert sum(estimate is not None for estimate in found[0]) == 24
    assert found[0] == found[1]
