"""Runs nn-Meter's own builder inside its own environment; speaks JSON on stdin and stdout.

Asked `{"kernel": {"features": [...], "train": [[...]], "latency": [...], "ask": [[...]]}, ...}` it
registers each kernel the way nn-Meter's guide tells for customised kernels, calls its
`build_predictor_by_data` on all points and answers with predictions, the number of points trained
on and the versions. Knows nothing of bottlenecks: a kernel is a name with features. Started by
`benchmarks.latency.forest` with a home folder of its own, since nn-Meter reads and writes there.
"""

from __future__ import annotations

import contextlib
import json
import sys
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

PARSER = "FeaturesAsGiven"
PACKAGES = ("nn-meter", "scikit-learn", "numpy", "pandas", "scipy")


class FeaturesAsGiven:
    """nn-Meter's feature parser: a configuration holds its features under their own names."""

    def __init__(self, kernel_type: str) -> None:
        self.kernel_type = kernel_type
        self.needed_config = _asked[kernel_type]["features"]

    def get_feature_by_config(self, config_dict: dict[str, float]) -> list[float]:
        """Features in order."""
        return [config_dict[name] for name in self.needed_config]

    def get_config_by_feature(self, feature: list[float]) -> dict[str, float]:
        """The inverse."""
        return dict(zip(self.needed_config, feature, strict=True))


_asked: dict[str, Any] = {}


def register() -> None:
    """Writes nn-Meter's registry of customised kernels; must precede its import."""
    folder = Path.home() / ".nn_meter" / "config"
    folder.mkdir(parents=True, exist_ok=True)
    this = {
        "package_location": str(Path(__file__).parent),
        "parser_module": "nn_meter_worker",
        "parser_name": PARSER,
    }
    text = json.dumps({"kernels": dict.fromkeys(_asked, this)})  # JSON is YAML
    (folder / "registry.yaml").write_text(text, encoding="utf-8")


def answer() -> dict[str, Any]:
    """Trains and asks one predictor per kernel."""
    builder: Any = import_module("nn_meter.builder.kernel_predictor_builder")
    latency: Any = import_module("nn_meter.builder.backend_meta.utils").Latency
    found: dict[str, Any] = {}
    for kernel, data in _asked.items():
        points = {
            f"id_{number}": {
                "model": "",
                "config": dict(zip(data["features"], features, strict=True)),
                "latency": latency(float(ms)),
            }
            for number, (features, ms) in enumerate(
                zip(data["train"], data["latency"], strict=True)
            )
        }
        predictor = builder.build_predictor_by_data(kernel, {kernel: points}, final_predictor=True)[
            0
        ]
        # Its parser drops points it cannot read without a word, so they are counted.
        trained = len(predictor.oob_prediction_)
        if trained != len(points):
            raise RuntimeError(f"{kernel}: trained on {trained} of {len(points)} points")
        found[kernel] = [float(ms) for ms in predictor.predict(data["ask"])]
    versions = {name: metadata.version(name) for name in PACKAGES}
    return {"predicted": found, "versions": versions, "python": sys.version.split()[0]}


def main() -> None:
    """One question, one answer."""
    _asked.update(json.load(sys.stdin))
    register()
    # nn-Meter logs to stdout, which has to stay free for the answer; and it imports this file by
    # name for the parser, which must see the same question.
    sys.modules["nn_meter_worker"] = sys.modules["__main__"]
    with contextlib.redirect_stdout(sys.stderr):
        found = answer()
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
