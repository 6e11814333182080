"""The work of the study in pieces: train one network, train one supernet and score with it.

Each piece is given the rows of the pieces before, and returns its own.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.pieces import Row
from benchmarks.ranking.images import read
from benchmarks.ranking.protocol import configs, study_of
from search.lattice import Lattice
from supernet.arithmetic import macs
from supernet.config import ChannelConfig
from supernet.estimate import Estimator, accuracy
from supernet.resnet import ResNet
from supernet.source import build
from supernet.weights import save_weights
from training.data import Data
from training.images import evaluation_batches
from training.recipe import Recipe, SupernetRecipe
from training.scratch import train
from training.supernet_loop import train_supernet

PROPOSER = "supernet sandwich 0"
Rows = Mapping[str, Row]
POOL = 200
"""Random configs of the band that a supernet scores to propose some."""


def net(
    rows: Rows, protocol: Row, place: Path, device: str, config: ChannelConfig, seed: int
) -> Row:
    """One network from scratch: test and search-validation accuracy."""
    data, start = _data(protocol, place, device), time.perf_counter()
    torch.manual_seed(1000 + seed)
    model = ResNet(study_of(protocol).network, config).to(device)
    folder = place / "nets" / f"{hash(config) & 0xFFFFFFFF:x}-{seed}"
    recipe = Recipe(**protocol["net"])
    train(model, data, recipe, folder, seed=seed)
    found = {
        "test": accuracy(model, evaluation_batches(data.test)),
        "val": accuracy(model, evaluation_batches(data.val)),
        "seconds": time.perf_counter() - start,
    }
    shutil.rmtree(folder, ignore_errors=True)
    return found


def proposed_net(
    rows: Rows, protocol: Row, place: Path, device: str, number: int, seed: int
) -> Row:
    """The network of a proposal, see `net`."""
    config = ChannelConfig.from_json(rows[PROPOSER]["proposals"][number]["config"])
    return net(rows, protocol, place, device, config, seed)


def supernet(rows: Rows, protocol: Row, place: Path, device: str, name: str, seed: int) -> Row:
    """One supernet: its estimates of all configs, with and without recalibration; proposals."""
    data, start = _data(protocol, place, device), time.perf_counter()
    given, space = protocol["supernets"][name], study_of(protocol).space
    torch.manual_seed(2000 + seed)
    source = build(given["kind"], space).to(device)
    recipe = SupernetRecipe(
        **{**protocol["net"], "epochs": given["epochs"], "policy": given["policy"]}
    )
    result = train_supernet(source, space, data, recipe, place / f"{name}-{seed}", seed=seed)
    seconds = time.perf_counter() - start
    recalibration = [
        images
        for images, _ in evaluation_batches(data.train, limit=protocol["recalibration_images"])
    ]
    estimate = Estimator(source, recalibration, list(evaluation_batches(data.val)))
    wanted = configs(protocol)
    row = {
        "history": result.history,
        "seconds": seconds,
        "estimates": {label: estimate(config) for label, config in wanted.items()},
        "without_recalibration": {
            label: accuracy(source.extract(config), evaluation_batches(data.val))
            for label, config in wanted.items()
        },
    }
    if name == "sandwich" and seed == 0:
        save_weights(source, place / "sandwich.safetensors")
        row["proposals"] = proposals(protocol, estimate)
    return row


def proposals(protocol: Row, estimate: Estimator) -> list[dict[str, Any]]:
    """The configs of the band that the supernet likes best, of some random ones."""
    study = study_of(protocol)
    lattice, rng = Lattice(study.space), np.random.default_rng(7)
    drawn = lattice.draw(rng, 400 * POOL, 0.0)
    cost = macs(study.network, lattice.rows(drawn)).astype(float)
    inside = lattice.configs(drawn[np.abs(cost / protocol["band_macs"] - 1) <= 0.02][:POOL])
    ranked = sorted(inside, key=estimate, reverse=True)
    return [
        {"config": config.to_json(), "estimate": estimate(config)}
        for config in ranked[: protocol["proposed"]]
    ]


def _data(protocol: Row, place: Path, device: str) -> Data:
    torch.set_num_threads(1)
    given = protocol["data"]
    return read(place / "images.npz", device, given["validation"], name=given["name"])
