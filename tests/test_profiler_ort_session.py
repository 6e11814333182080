"""Sessions of many models beside each other: their worker threads must not fight for cores."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from profiler import machine

COUNT = """
import os
from profiler.backend import load
from profiler.capabilities import settle
from supernet.shapes import BlockShape
plugin = load("onnxruntime")
target = plugin.target("fp32", 1, 2)
settle(plugin, target)
def threads():
    return len(os.listdir("/proc/self/task"))
runners = []
for width in range(4, 12):
    runners.append(plugin.block(BlockShape(7, 1, "identity", 16, width, width, 16), target))
    runners[-1](3)
    if width == 4:
        one = threads()
print(one, threads())
"""


@pytest.mark.skipif(
    machine.usable_cores() < 2 or not os.path.isdir("/proc/self/task"),
    reason="needs two cores, and a system that lists threads",
)
def test_many_models_with_two_threads_share_one_worker() -> None:
    done = subprocess.run(
        [sys.executable, "-c", COUNT], capture_output=True, text=True, check=True, timeout=120
    )
    with_one, with_eight = map(int, done.stdout.split())
    assert with_eight == with_one
    assert "global thread pool" not in done.stderr  # the runtime warns of options it ignores
