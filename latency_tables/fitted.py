"""`Fitted`: everything a prediction needs, as it is kept in a table file, with its error.

Knows nothing of how it was found; `latency_tables.fitting` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, get_args

import numpy as np

from latency_tables.calibrate import Line
from latency_tables.checks import array, mapping, number, positive, shape, text, whole
from latency_tables.conformal import Bound, Source
from latency_tables.features import design
from latency_tables.grain import Grain
from latency_tables.joint import ENDS
from latency_tables.judge import HeldOut
from latency_tables.model import BlockModel
from supernet.config import brief
from supernet.shapes import MOST

MOST_MODELS = 1000
MODEL = 2
"""Counts up when the features change: coefficients mean nothing to other ones."""
MOST_POINTS = 10**7
GRAIN_MOST = 1 << 24


@dataclass(frozen=True, kw_only=True, eq=False)
class Fitted:
    """A fit of one table.

    Attributes:
        fingerprint: of the table it was fitted to.
        grain: how the runtime rounds widths.
        models: by geometry.
        launch_ms: start of a run.
        line: from the sum of pieces to the network.
        held_out: errors on networks never fitted.
        bound: the upper bound, with the coverage it guarantees.
        unpriced, flagged: measured networks left aside; see `latency_tables.fitting`.
        disturbed: flagged networks took part, for want of others.
    """

    fingerprint: str
    grain: Grain
    models: Mapping[str, BlockModel]
    launch_ms: float
    line: Line
    held_out: HeldOut
    bound: Bound
    unpriced: int
    flagged: int
    disturbed: bool

    def __eq__(self, other: object) -> bool:
        """Equal in the file; arrays and absent figures (nan) are not comparable otherwise."""
        if not isinstance(other, Fitted):
            return NotImplemented
        return fitted_to_json(self) == fitted_to_json(other)

    def __hash__(self) -> int:
        return hash(self.fingerprint)


def fitted_to_json(fitted: Fitted) -> dict[str, Any]:
    """The form in the file."""
    return {
        "model": MODEL,
        "fingerprint": fitted.fingerprint,
        "grain": asdict(fitted.grain),
        "launch_ms": fitted.launch_ms,
        "line": asdict(fitted.line),
        "held_out": {k: _plain(v) for k, v in asdict(fitted.held_out).items()},
        "bound": asdict(fitted.bound),
        "unpriced": fitted.unpriced,
        "flagged": fitted.flagged,
        "disturbed": fitted.disturbed,
        "models": {
            name: {
                "widths": list(model.sample.widths),
                "coefficients": [float(f"{c:.9g}") for c in model.coefficients],
                "ends": [float(f"{c:.9g}") for c in model.ends],
                "low": model.low.tolist(),
                "high": model.high.tolist(),
                "points": model.points,
                "mape_percent": _plain(model.mape_percent),
                "flops_linear_mape_percent": _plain(model.flops_linear_mape_percent),
                **({"inside": True} if model.inside else {}),
            }
            for name, model in fitted.models.items()
        },
    }


def fitted_from_json(data: dict[str, Any]) -> Fitted | None:
    """The inverse of `fitted_to_json`; None for a fit by another model than today's.

    Raises:
        ValueError, KeyError, TypeError: something is missing or wrong.
    """
    if data.get("model") != MODEL:
        return None
    grain = Grain(**{k: _size(k, v) for k, v in mapping("grain", data["grain"]).items()})
    launch, line = number("launch_ms", data["launch_ms"]), mapping("line", data["line"])
    models = mapping("models", data["models"])
    if len(models) > MOST_MODELS:
        raise ValueError(f"models must hold at most {MOST_MODELS} geometries, got {len(models)}")
    return Fitted(
        fingerprint=text("fingerprint", data["fingerprint"]),
        grain=grain,
        models={
            name: _model(name, mapping("a model", item), grain, launch)
            for name, item in models.items()
        },
        launch_ms=launch,
        line=Line(
            a=number("a", line["a"]),
            b=number("b", line["b"]),
            calibrated=_flag("calibrated", line["calibrated"]),
        ),
        held_out=_held_out(mapping("held_out", data["held_out"])),
        bound=_bound(mapping("bound", data["bound"])),
        unpriced=_count("unpriced", data["unpriced"]),
        flagged=_count("flagged", data["flagged"]),
        disturbed=_flag("disturbed", data["disturbed"]),
    )


def _model(geometry: str, item: dict[str, Any], grain: Grain, launch: float) -> BlockModel:
    sample = shape(geometry, item["widths"])
    expected = design(sample, np.ones((1, len(sample.axes))), grain).shape[1]
    coefficients = [number("a coefficient", v) for v in array("coefficients", item["coefficients"])]
    ends = [number("an end", v) for v in array("ends", item["ends"])]
    if (len(coefficients), len(ends)) != (expected, ENDS):
        raise ValueError(f"{geometry} needs {expected} coefficients and {ENDS} ends")
    ranges = [
        np.array([whole(end, v, MOST) for v in array(end, item[end], 4)]) for end in ("low", "high")
    ]
    if any(len(values) != len(sample.axes) for values in ranges):
        raise ValueError(f"{geometry} needs a low and a high for each of {list(sample.axes)}")
    if (ranges[0] > ranges[1]).any():
        raise ValueError(f"low <= high must hold for {geometry}")
    return BlockModel(
        sample=sample,
        grain=grain,
        coefficients=np.array(coefficients),
        ends=np.array(ends),
        launch_ms=launch,
        low=ranges[0],
        high=ranges[1],
        points=_count("points", item["points"]),
        mape_percent=_figure("mape_percent", item["mape_percent"]),
        flops_linear_mape_percent=_figure("flops", item["flops_linear_mape_percent"]),
        inside=_flag("inside", item.get("inside", False)),
    )


def _held_out(data: dict[str, Any]) -> HeldOut:
    known = {field.name for field in fields(HeldOut)}
    if set(data) != known:
        raise ValueError(f"held_out must have the keys {sorted(known)}, got {brief(sorted(data))}")
    figures = {k: _figure(k, v) for k, v in data.items() if k != "points"}
    return HeldOut(points=_count("points", data["points"]), **figures)


def _bound(data: dict[str, Any]) -> Bound:
    source = data["source"]
    if source not in get_args(Source):
        raise ValueError(f"source must be one of {list(get_args(Source))}, got {brief(source)}")
    coverage = number("coverage", data["coverage"])
    if not 0 <= coverage <= 1:
        raise ValueError(f"0 <= coverage <= 1 must hold, got {coverage}")
    return Bound(
        factor=positive("factor", data["factor"]),
        coverage=coverage,
        points=_count("points", data["points"]),
        source=source,
    )


def _plain(value: float) -> float | None:
    """JSON has no nan."""
    return None if value != value else value


def _figure(name: str, value: object) -> float:
    return float("nan") if value is None else number(name, value)


def _count(name: str, value: object) -> int:
    return _from_zero(name, value, MOST_POINTS)


def _size(name: str, value: object) -> int:
    return _from_zero(name, value, GRAIN_MOST)


def _from_zero(name: str, value: object, most: int) -> int:
    return 0 if type(value) is int and value == 0 else whole(name, value, most)


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false, got {brief(value)}")
    return value
