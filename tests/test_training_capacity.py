"""The capacity check: on numbers, and on toy data with and without a need for capacity."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from training_toys import TINY, toy_data

from supernet.config import ChannelConfig
from training.capacity import CapacityError, capacity_check, judge
from training.recipe import Recipe

RECIPE = Recipe(epochs=6, batch=16, lr=0.1, augment=False)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_noise_by_hand() -> None:
    found = judge([0.9, 0.92], [0.8, 0.84], 400)
    seeds = 0.0002 / 2 + 0.0008 / 2
    images = 0.91 * 0.09 / 400 + 0.82 * 0.18 / 400
    assert found.difference == pytest.approx(0.09)
    assert found.noise == pytest.approx(math.sqrt(seeds + images))
    assert found.tells_apart
    assert found.verdict().startswith("this data tells configs apart")


@pytest.mark.parametrize(
    ("largest", "smallest", "images"),
    [
        ([0.91, 0.91], [0.90, 0.90], 400),  # the images alone explain it
        ([0.95, 0.75], [0.80, 0.80], 10**6),  # the seeds alone explain it
        ([0.80, 0.80], [0.95, 0.95], 10**6),  # the smaller one is better
    ],
)
def test_what_noise_explains_is_not_told_apart(
    largest: list[float], smallest: list[float], images: int
) -> None:
    found = judge(largest, smallest, images)
    assert not found.tells_apart
    assert "cannot tell configs apart" in found.verdict()


@pytest.mark.slow
def test_toy_data_that_needs_capacity_and_a_second_look_is_free(tmp_path: Path) -> None:
    network = replace(TINY, width=1 / 8)
    data = toy_data(240)
    smallest = ChannelConfig(1, (8, 8), ((1, 1), (1, 1)))
    arguments = (network, network.dense(), smallest, data, RECIPE)
    found = capacity_check(*arguments, seeds=[0, 1], folder=tmp_path)
    assert found.tells_apart
    assert found.images == 240
    steps: list[int] = []
    again = capacity_check(
        *arguments,
        seeds=[0, 1],
        folder=tmp_path,
        progress=lambda done, total, note: steps.append(done),
    )
    assert again == found
    assert steps == []


@pytest.mark.slow
def test_noise_for_data_tells_nothing(tmp_path: Path) -> None:
    data = toy_data(80)
    shuffled = torch.randperm(160, generator=torch.Generator().manual_seed(0)) % 10
    base = replace(data.train.base, labels=shuffled)  # type: ignore[attr-defined]
    data = replace(
        data,
        train=replace(data.train, base=base),  # type: ignore[type-var]
        val=replace(data.val, base=base),  # type: ignore[type-var]
        fingerprint="noise",
    )
    found = capacity_check(
        TINY,
        TINY.dense(),
        TINY.uniform(0.5),
        data,
        replace(RECIPE, epochs=2),
        seeds=[0, 1],
        folder=tmp_path,
    )
    assert not found.tells_apart


def test_one_seed_is_not_enough(tmp_path: Path) -> None:
    with pytest.raises(CapacityError, match="two or more different"):
        capacity_check(
            TINY,
            TINY.dense(),
            TINY.uniform(0.5),
            toy_data(),
            RECIPE,
            seeds=[1, 1],
            folder=tmp_path,
        )
