"""The frozen protocol: which configs are trained how, and what counts as good.

`protocol.json` is what the rules below gave once; it was written before anything was trained, and
a test holds that it still is what the rules give. Change neither after a run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from search.lattice import Index, Lattice
from supernet.arithmetic import macs, params
from supernet.config import ChannelConfig
from supernet.network import NetworkSpec
from supernet.space import SearchSpace

FILE = Path(__file__).parent / "protocol.json"
NETWORK = NetworkSpec(
    depths=(3, 4, 6, 3), width=0.25, stem="7x7/2+maxpool", resolution=64, channels=3, classes=20
)
SPACE = SearchSpace.from_ratios(NETWORK, (0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0))
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
NET = {"epochs": 20, "batch": 128, "lr": 0.2, "weight_decay": 5e-4, "warmup_epochs": 2}
SUPERNETS: dict[str, dict[str, Any]] = {
    "sandwich": {"kind": "sliced", "policy": "sandwich", "epochs": 40},
    "single": {"kind": "sliced", "policy": "single", "epochs": 160},
    "pruningnet": {"kind": "pruningnet", "policy": "single", "epochs": 80},
}
"""A sandwich step costs four passes, so single random paths get four times the epochs."""
THRESHOLDS = {
    "wide_tau": 0.7,
    "in_band_tau_above_macs": 0.2,
    "top_10_regret_points": 0.3,
}


def make() -> dict[str, Any]:
    """The protocol by its rules."""
    lattice = Lattice(SPACE)
    rng = np.random.default_rng(20261126)
    drawn = np.concatenate([lattice.draw(rng, DRAWN, 0.8), lattice.draw(rng, 4 * DRAWN, 0.0)])
    cost = macs(NETWORK, lattice.rows(drawn)).astype(float)
    dense = float(macs(NETWORK, lattice.rows(lattice.largest()))[0])
    least = float(macs(NETWORK, lattice.rows(lattice.smallest()))[0])
    goals = np.geomspace(least, dense, WIDE)[1:-1]
    wide = [drawn[int(np.argmin(np.abs(np.log(cost / goal))))] for goal in goals]
    inside = drawn[np.abs(cost / (TARGET * dense) - 1) <= WITHIN]
    band = _far_apart(lattice, np.unique(inside, axis=0), BAND + MORE)
    rows = {
        "wide": np.concatenate([lattice.smallest(), np.array(wide), lattice.largest()]),
        "band": band[:BAND],
        "more": band[BAND:],
    }
    return {
        "data": {"name": "tiny-imagenet-20", "validation": 2000, "resolution": 64},
        "net": NET,
        "seeds": [0, 1, 2],
        "supernets": SUPERNETS,
        "recalibration_images": 1024,
        "band_macs": TARGET * dense,
        "proposed": PROPOSED,
        "configs": {
            group: [config.to_json() for config in lattice.configs(index)]
            for group, index in rows.items()
        },
        "thresholds": THRESHOLDS,
        "asked": {"from": f"more-{ASKED}", "claims": list(CLAIMS)},
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


def load() -> dict[str, Any]:
    """The protocol as it was frozen."""
    frozen: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return frozen


def configs(protocol: dict[str, Any]) -> dict[str, ChannelConfig]:
    """Names and configs of the networks that are trained alone: wide-0, ..., more-29."""
    return {
        f"{group}-{number}": ChannelConfig.from_json(config)
        for group, found in protocol["configs"].items()
        for number, config in enumerate(found)
    }


def costs(config: ChannelConfig) -> dict[str, float]:
    """MACs and params, which are predictors too."""
    from supernet.arithmetic import encode

    rows = encode([config])
    return {"macs": float(macs(NETWORK, rows)[0]), "params": float(params(NETWORK, rows)[0])}


if __name__ == "__main__":
    FILE.write_text(json.dumps(make(), indent=1) + "\n", encoding="utf-8")
