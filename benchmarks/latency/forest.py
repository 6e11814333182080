"""nn-Meter's way (Zhang et al., MobiSys 2021): random forests trained on the same measured points.

nn-Meter predicts kernels, such as one convolution with its batch norm and ReLU, and sums them. Our
points are bottlenecks, so a bottleneck is its kernel here, registered as a customised one. Features
are those that nn-Meter gives a convolution, for a bottleneck: map side, stride, input, inner and
output widths, multiply-adds and weights in millions. Once with one kernel per geometry, once with
one per kind of piece, as its own kernels span all map sides. Its adaptive sampling cannot take
part: it would measure more points than the others have.

nn-Meter runs in its own environment (`benchmarks.latency.nn_meter_env`). Where that is missing or
fails, the same regressor of our scikit-learn with nn-Meter's published parameters stands in, and
the result says so. Not run by itself; see `benchmarks.latency.rivals`.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.latency.cases import Floats, Prices
from benchmarks.latency.nn_meter_env import python_of
from benchmarks.latency.rules import Rival
from supernet.shapes import BlockShape, Shape

WORKER = Path(__file__).parent / "nn_meter_worker.py"
TIMEOUT_S = 600.0
# What nn-Meter 2.0 gives a kernel that it has no parameters for; its "auto" means all features.
FOREST = {"max_depth": 50, "n_estimators": 370, "max_features": 1.0, "random_state": 10}

Question = dict[str, dict[str, Any]]
Ask = Callable[[Question], dict[str, list[float]]]


def rivals(folder: Path) -> tuple[tuple[Rival, ...], dict[str, str]]:
    """Both variants, and a note on what ran for each."""
    known = Path(folder)
    ask, label, note = _stand_in, "random forest (stand-in for nn-Meter)", ""
    if not python_of(known).is_file():
        note = "did not run: no environment; python -m benchmarks.latency.nn_meter_env makes it"
    else:
        try:
            versions = _probe(known)
            ask, label = (lambda question: _nn_meter(known, question)["predicted"]), "nn-Meter"
            note = f"ran: {versions}"
        except (subprocess.SubprocessError, OSError, ValueError) as error:
            note = f"did not run: {error}"
    grouped: tuple[tuple[str, Callable[[Shape], str]], ...] = (
        ("per geometry", lambda shape: shape.geometry),
        ("per kind", _kind),
    )
    found = tuple(_rival(f"{label}, {name}", group, ask) for name, group in grouped)
    return found, {name: note for name, _ in grouped}


def _rival(name: str, group: Callable[[Shape], str], ask: Ask) -> Rival:
    def price(rows: Prices, asked: Sequence[Shape]) -> Floats:
        return answers(rows, asked, group, ask)

    return Rival(
        name=name,
        rule="One forest per kernel, trained on all its rows; kernels, features and parameters as "
        "benchmarks/latency/forest.py says; summed. Then a + b * sum (a courtesy).",
        price=price,
    )


def answers(
    rows: Prices, asked: Sequence[Shape], group: Callable[[Shape], str], ask: Ask
) -> Floats:
    """Prices in ms, [n]; nan for a kernel with fewer than two rows."""
    known: dict[str, list[Shape]] = {}
    wanted: dict[str, list[int]] = {}
    for shape in rows:
        known.setdefault(group(shape), []).append(shape)
    for place, shape in enumerate(asked):
        wanted.setdefault(group(shape), []).append(place)
    places = {name: where for name, where in wanted.items() if len(known.get(name, [])) > 1}
    question: Question = {
        name: {
            "features": list(features(known[name][0])),
            "train": [list(features(shape).values()) for shape in known[name]],
            "latency": [rows[shape] for shape in known[name]],
            "ask": [list(features(asked[place]).values()) for place in where],
        }
        for name, where in places.items()
    }
    found = np.full(len(asked), np.nan)
    for name, predicted in ask(question).items():
        found[places[name]] = predicted
    return found


def features(shape: Shape) -> dict[str, float]:
    """What nn-Meter would look at, by its own names where it has them."""
    stride = shape.stride if isinstance(shape, BlockShape) else 1
    widths = {axis.upper(): float(w) for axis, w in zip(shape.axes, shape.widths, strict=True)}
    extra = {"FLOPS": shape.macs / 1e6, "PARAMS": _weights(shape) / 1e6}
    return {"HW": float(shape.size), "STRIDES": float(stride), **widths, **extra}


def _weights(shape: Shape) -> int:
    if isinstance(shape, BlockShape):
        projection = shape.cin * shape.cout if shape.shortcut == "projection" else 0
        inner = shape.cin * shape.w1 + 9 * shape.w1 * shape.w2 + shape.w2 * shape.cout
        return inner + projection
    return shape.macs // max(1, getattr(shape, "conv_size", 1)) ** 2


def _kind(shape: Shape) -> str:
    return shape.shortcut if isinstance(shape, BlockShape) else shape.geometry.partition(":")[0]


def _probe(folder: Path) -> str:
    """Versions, from a question that nn-Meter answers if it works at all."""
    train = [[float(n)] for n in range(1, 9)]
    tiny = {"features": ["CIN"], "train": train, "latency": [1.0] * 8, "ask": [[3.0]]}
    found = _nn_meter(folder, {"probe": tiny})
    packages = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return f"{packages}, Python {found['python']}"


def _nn_meter(folder: Path, question: Question) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [str(python_of(folder)), "-W", "ignore", str(WORKER)],
            input=json.dumps(question),
            env={**os.environ, "HOME": home, "USERPROFILE": home},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise subprocess.SubprocessError(f"nn-Meter ended with {done.returncode}: {last}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _stand_in(question: Question) -> dict[str, list[float]]:
    from sklearn.ensemble import RandomForestRegressor

    found = {}
    for name, data in question.items():
        forest: Any = RandomForestRegressor(**FOREST)
        forest.fit(data["train"], data["latency"])
        found[name] = forest.predict(data["ask"]).tolist()
    return found
