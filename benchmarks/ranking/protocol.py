"""The frozen protocols: which configs are trained how, and what counts as good.

The JSON files are what the rules below gave once; each was written before anything of it was
trained, and a test holds that it still is what the rules give. Change neither after a run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from search.lattice import Index, Lattice
from supernet.arithmetic import encode, macs, params
from supernet.config import ChannelConfig
from supernet.network import NetworkSpec
from supernet.space import SearchSpace

RATIOS = (0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0)
WIDE, BAND, PROPOSED = 10, 15, 5
TARGET, WITHIN = 0.4, 0.02
"""The band: MACs of this share of dense, give or take that share of them."""
MORE = 30
"""More of the band by the same rule, fixed when the first results were known but before any of them
was trained: 15 configs were too few for an interval of a difference to exclude 0."""
ASKED = 9
"""`more-9` and those after it test what the configs before suggested: that the mean of several
supernets' estimates orders the band, and that the sandwich (seed 1) does without recalibration.
Fixed when `more-0` to `more-8` were known and before any of the others was trained; on these 21
configs alone each claim is compared with MACs, the first claim being the one that counts."""
CLAIMS = ("mean of supernets", "sandwich-1, no recalibration", "sandwich-1")
DRAWN = 40_000
THRESHOLDS = {
    "wide_tau": 0.7,
    "in_band_tau_above_macs": 0.2,
    "top_10_regret_points": 0.3,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A data set, and what is trained on it.

    Attributes:
        validation: images cut from the training data, for estimates.
        net, supernets: recipes. A sandwich step costs four passes, so that single random paths get
            four times the epochs.
        more: configs of the band beside the first 15.
        asked: what later configs are to test.
    """

    network: NetworkSpec
    validation: int
    net: Mapping[str, Any]
    seeds: tuple[int, ...]
    supernets: Mapping[str, Mapping[str, Any]]
    more: int = 0
    asked: Mapping[str, Any] | None = None

    @property
    def space(self) -> SearchSpace:
        return SearchSpace.from_ratios(self.network, RATIOS)

    def costs(self, config: ChannelConfig) -> dict[str, float]:
        """MACs and params, which are predictors too."""
        rows = encode([config])
        return {
            "macs": float(macs(self.network, rows)[0]),
            "params": float(params(self.network, rows)[0]),
        }


STUDIES = {
    "tiny-imagenet-20": Study(
        network=NetworkSpec(
            depths=(3, 4, 6, 3),
            width=0.25,
            stem="7x7/2+maxpool",
            resolution=64,
            channels=3,
            classes=20,
        ),
        validation=2000,
        net={"epochs": 20, "batch": 128, "lr": 0.2, "weight_decay": 5e-4, "warmup_epochs": 2},
        seeds=(0, 1, 2),
        supernets={
            "sandwich": {"kind": "sliced", "policy": "sandwich", "epochs": 40},
            "single": {"kind": "sliced", "policy": "single", "epochs": 160},
            "pruningnet": {"kind": "pruningnet", "policy": "single", "epochs": 80},
        },
        more=MORE,
        asked={"from": f"more-{ASKED}", "claims": list(CLAIMS)},
    ),
    "fashion-mnist": Study(
        network=NetworkSpec(
            depths=(3, 4, 6, 3), width=0.25, stem="3x3/2", resolution=28, channels=1, classes=10
        ),
        validation=5000,
        net={"epochs": 4, "batch": 256, "lr": 0.3, "weight_decay": 5e-4, "warmup_epochs": 1},
        seeds=(0, 1),
        supernets={
            "sandwich": {"kind": "sliced", "policy": "sandwich", "epochs": 10},
            "single": {"kind": "sliced", "policy": "single", "epochs": 40},
        },
    ),
}


def make(name: str) -> dict[str, Any]:
    """The protocol of a data set by its rules."""
    study = STUDIES[name]
    network = study.network
    lattice = Lattice(study.space)
    rng = np.random.default_rng(20261126)
    drawn = np.concatenate([lattice.draw(rng, DRAWN, 0.8), lattice.draw(rng, 4 * DRAWN, 0.0)])
    cost = macs(network, lattice.rows(drawn)).astype(float)
    dense = float(macs(network, lattice.rows(lattice.largest()))[0])
    least = float(macs(network, lattice.rows(lattice.smallest()))[0])
    goals = np.geomspace(least, dense, WIDE)[1:-1]
    wide = [drawn[int(np.argmin(np.abs(np.log(cost / goal))))] for goal in goals]
    inside = drawn[np.abs(cost / (TARGET * dense) - 1) <= WITHIN]
    band = _far_apart(lattice, np.unique(inside, axis=0), BAND + study.more)
    rows = {
        "wide": np.concatenate([lattice.smallest(), np.array(wide), lattice.largest()]),
        "band": band[:BAND],
        "more": band[BAND:],
    }
    data = {"name": name, "validation": study.validation, "resolution": network.resolution}
    return {
        "data": data,
        "net": study.net,
        "seeds": study.seeds,
        "supernets": study.supernets,
        "recalibration_images": 1024,
        "band_macs": TARGET * dense,
        "proposed": PROPOSED,
        "configs": {
            group: [config.to_json() for config in lattice.configs(index)]
            for group, index in rows.items()
            if len(index)
        },
        "thresholds": THRESHOLDS,
        **({"asked": study.asked} if study.asked else {}),
    }


def _far_apart(lattice: Lattice, index: Index, count: int) -> Index:
    """Rows that differ most in where they spend: each the farthest from those before (maximin).

    Configs of equal MACs that differ little cannot be told apart by any training of this length.
    """
    rows = lattice.rows(index).astype(float)
    place = np.log(np.maximum(rows, 1)) - np.log(np.maximum(lattice.rows(lattice.largest()), 1))
    chosen = [int(np.argmax(np.linalg.norm(place - place.mean(axis=0), axis=1)))]
    away = np.linalg.norm(place - place[chosen[0]], axis=1)
    while len(chosen) < count:
        chosen.append(int(np.argmax(away)))
        away = np.minimum(away, np.linalg.norm(place - place[chosen[-1]], axis=1))
    return index[chosen]


def file(name: str) -> Path:
    """Where the protocol of a data set lies."""
    return Path(__file__).parent / f"{name}.json"


def load(name: str = "tiny-imagenet-20") -> dict[str, Any]:
    """The protocol of a data set as it was frozen."""
    frozen: dict[str, Any] = json.loads(file(name).read_text(encoding="utf-8"))
    return frozen


def study_of(protocol: Mapping[str, Any]) -> Study:
    """The study that a protocol belongs to."""
    return STUDIES[protocol["data"]["name"]]


def configs(protocol: Mapping[str, Any]) -> dict[str, ChannelConfig]:
    """Names and configs of the networks that are trained alone: wide-0, ..., more-29."""
    return {
        f"{group}-{number}": ChannelConfig.from_json(config)
        for group, found in protocol["configs"].items()
        for number, config in enumerate(found)
    }


if __name__ == "__main__":
    for each in STUDIES:
        if not file(each).exists():
            file(each).write_text(json.dumps(make(each), indent=1) + "\n", encoding="utf-8")
