"""What pruning and eight bits bring together: ResNet50 at 224x224, one interleaved run.

    python -m benchmarks.int8.speed [--table NAME] [--speed-up 2.5] [--rounds 21]

Dense, uniform and found networks, each as fp32 and as calibrated int8 file, batch 1, one thread,
ONNX Runtime. Found has the most MACs within 1.648 GMACs, 10.78 M params and the latency limit on
the int8 table; weights are random, as latency does not depend on them. Prints a table, and writes
JSON to `benchmarks/results/int8-speed.json`.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.latency.found import found_config
from benchmarks.latency.output import RESULTS, show, write_json
from export.int8.calibration import ranges
from export.int8.files import quantise
from export.int8.form import Form, needs_reduced_range
from export.onnx_file import export
from latency_tables.predict import Predictor
from latency_tables.shipped import load
from latency_tables.table import Measurement
from profiler import machine
from profiler.backend import load as backend
from profiler.collect import compare
from profiler.models import File, Model
from profiler.protocol import Protocol
from profiler.stats import paired_ratio
from supernet.arithmetic import count
from supernet.config import ChannelConfig
from supernet.network import NetworkSpec
from supernet.resnet import ResNet

NETWORK = NetworkSpec()
IMAGES = 16
"""Random images that calibrate: ranges, and so latencies, need no more here."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--table", default="resnet50-224-ort-int8-1t-xeon")
    parser.add_argument("--speed-up", type=float, default=2.5)
    parser.add_argument("--rounds", type=int, default=21)
    given = parser.parse_args()
    configs = networks(given.table, given.speed_up)
    form = Form(reduce_range=needs_reduced_range(machine.isa_flags()))
    with tempfile.TemporaryDirectory() as folder:
        models = {
            name: File(str(path))
            for net, config in configs.items()
            for name, path in files(net, config, form, Path(folder)).items()
        }
        target = backend("onnxruntime").target("fp32", 1, 1)
        measured = compare(target, dict[str, Model](models), Protocol(rounds=given.rounds), _tell)
    rows = [
        row(name, configs[name.split(",")[0]], found, measured) for name, found in measured.items()
    ]
    result = {
        "device": target.device,
        "runtime": f"{target.runtime} {target.runtime_version}",
        "form": str(form),
        "table": given.table,
        "load": os.getloadavg()[0],
        "rows": rows,
    }
    columns = [
        "network",
        "GMACs",
        "M params",
        "ms",
        "95 %",
        "times dense fp32",
        "95 %",
        "disturbed",
    ]
    show(
        f"One interleaved run, {target.device}, {result['runtime']}",
        columns,
        [shown(r) for r in rows],
    )
    write_json(RESULTS / "int8-speed.json", result)


def networks(table: str, speed_up: float) -> dict[str, ChannelConfig]:
    """Dense, uniform at the MACs of Inspur's network, and found."""
    found = found_config(Predictor(load(table)), speed_up, evaluations=4000)
    limit = count(NETWORK, found)[0]
    uniform = max(
        (NETWORK.uniform(ratio) for ratio in np.linspace(0.3, 1, 281)),
        key=lambda config: (macs := count(NETWORK, config)[0]) * (macs <= limit),
    )
    return {"dense": NETWORK.dense(), "uniform": uniform, "found": found}


def files(name: str, config: ChannelConfig, form: Form, folder: Path) -> dict[str, Path]:
    """A network's fp32 and int8 files by name."""
    torch.manual_seed(0)
    images = torch.randn(IMAGES, 3, 224, 224)
    plain, small = folder / f"{name}.onnx", folder / f"{name}.int8.onnx"
    export(ResNet(NETWORK, config), images[:1], plain)
    batches = [image[None].numpy() for image in images]
    quantise(plain, small, ranges(plain, batches, "max"), form)
    return {f"{name}, fp32": plain, f"{name}, int8": small}


def row(
    name: str, config: ChannelConfig, found: Measurement, all_of: dict[str, Measurement]
) -> dict[str, Any]:
    """Figures of one file."""
    ratio = paired_ratio(all_of["dense, fp32"].adjusted, found.adjusted)
    macs, params = count(NETWORK, config)
    return {
        "name": name,
        "macs": macs,
        "params": params,
        "config": config.to_json(),
        "ms": {"median": found.median, "lo": found.lo, "hi": found.hi},
        "times_dense": asdict(ratio),
        "flags": list(found.flags),
    }


def shown(found: dict[str, Any]) -> list[str]:
    ms, times = found["ms"], found["times_dense"]
    return [
        found["name"],
        f"{found['macs'] / 1e9:.3f}",
        f"{found['params'] / 1e6:.2f}",
        f"{ms['median']:.2f}",
        f"{ms['lo']:.2f}..{ms['hi']:.2f}",
        f"{times['median']:.2f}",
        f"{times['lo']:.2f}..{times['hi']:.2f}",
        ", ".join(found["flags"]) or "-",
    ]


def _tell(done: int, total: int, note: str) -> None:
    print(f"\r{done}/{total} {note:60.60}", end="" if done < total else "\n", flush=True)


if __name__ == "__main__":
    main()
