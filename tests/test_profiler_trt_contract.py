"""Every name of TensorRT that we use is held to TensorRT 11.4's own bindings, without a GPU.

Three links: our code may use only what `profiler/trt/api.py` and `module.py` declare (mypy, and a
look at every attribute in the source); what they declare is in the bindings, with these arguments
and results; and int8 networks and settings are as they must be, asked of TensorRT-RTX. Each link is
tried on copies of our source into which a mistake was planted.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
TRT = Path("profiler", "trt")
ROOMS = ("profiler", "latency_tables", "supernet", "export")
DECLARING = {"api.py", "module.py"}
OURS = {"append", "clear", "data", "logger", "node", "split", "uint8", "update"}
"""Members of our own or Python's classes that TensorRT has too."""

needs_rtx = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx") is None, reason="tensorrt_rtx is not installed"
)


def ran(*command: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """A process that imports our rooms from `folder`."""
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def against_bindings(folder: Path = ROOT) -> dict[str, Any]:
    """What `trt_bindings.py` finds; skips where the bindings cannot be loaded."""
    if importlib.util.find_spec("tensorrt_bindings") is None:
        pytest.skip("tensorrt_bindings (tensorrt-cu13-bindings) is not installed")
    if shutil.which("gcc") is None and importlib.util.find_spec("tensorrt_libs") is None:
        pytest.skip("gcc, for stubs of TensorRT's libraries, is not installed")
    done = ran(str(ROOT / "tests" / "trt_bindings.py"), str(folder / TRT))
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def typed(folder: Path) -> str:
    """What mypy has against the package in `folder`, or ""."""
    done = ran("-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), str(TRT), folder=folder)
    return done.stdout if done.returncode else ""


def undeclared(members: list[str], folder: Path = ROOT) -> set[str]:
    """Attributes in our source that TensorRT has, but that we do not declare."""
    declared, used = set(OURS), set()
    for path in sorted((folder / TRT).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if path.name in DECLARING:
                if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                    declared.add(node.target.id)
                elif isinstance(node, ast.FunctionDef):
                    declared.add(node.name)
            elif isinstance(node, ast.Attribute) and not _is_ours(node.value):
                used.add(node.attr)
    return used & set(members) - declared


def _is_ours(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("self", "api", "formats", "layers", "log")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of our rooms, for planting mistakes."""
    folder = tmp_path_factory.mktemp("copy")
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("data"))
    return folder


@pytest.fixture
def planted(copy: Path) -> Any:
    """Plants a mistake in a file of the copy, until the test ends."""
    saved: dict[Path, str] = {}

    def plant(name: str, old: str, new: str) -> Path:
        path = copy / TRT / name
        text = path.read_text(encoding="utf-8")
        saved.setdefault(path, text)
        assert text.count(old) == 1, f"{name} must have {old!r} once"
        path.write_text(text.replace(old, new), encoding="utf-8")
        return copy

    yield plant
    for path, text in saved.items():
        path.write_text(text, encoding="utf-8")


Plant = Callable[[str, str, str], Path]


@cache
def truth() -> dict[str, Any]:
    return against_bindings()


def test_everything_declared_is_in_the_bindings() -> None:
    found = truth()
    assert found["version"].startswith("11.4.")
    assert found["wrong"] == []
    assert len(found["checked"]) > 100


def test_everything_used_is_declared() -> None:
    assert undeclared(truth()["members"]) == set()


def test_a_new_use_without_a_declaration_is_found(planted: Plant) -> None:
    old = "config.max_aux_streams = 0"
    folder = planted("settings.py", old, f"{old}\n        config.max_num_tactics = 1")
    assert undeclared(truth()["members"], folder) == {"max_num_tactics"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("def add_reduce(", "def add_reduction(", "has no add_reduction"),
        ("keep_dims: bool", "keep: bool", r"add_reduce\['input', 'op', 'axes', 'keep'\]"),
        ("    max_aux_streams: int", "    max_streams: int", "has no max_streams"),
        ("    RELU: ActivationType", "    ReLU: ActivationType", "has no ReLU"),
        ("-> IQuantizeLayer | None", "-> IDequantizeLayer | None", "add_quantize"),
        ("    shape: Sequence[int]\n", "    dtype: DataType\n", "dtype cannot be set"),
        ("class IHostMemory(", "class IMemory(", "has no IMemory"),
    ],
)
def test_a_wrong_declaration_is_found(old: str, new: str, message: str, planted: Plant) -> None:
    (wrong, *_) = against_bindings(planted("api.py", old, new))["wrong"]
    assert message.replace("\\", "") in wrong


MISTAKES = {
    'has no attribute "add_reduction"': (
        "writer.py",
        "self.network.add_reduce(",
        "self.network.add_reduction(",
    ),
    'has no attribute "MAXIMUM"': ("writer.py", "PoolingType.MAX,", "PoolingType.MAXIMUM,"),
    '"IHostMemory | None"': (
        "build.py",
        'self.log.need(builder.build_serialized_network(network, config), f"build {what}")',
        "builder.build_serialized_network(network, config)",
    ),
    '"None" of "EngineInspector | None"': (
        "engine.py",
        'self._log.need(self._engine.create_engine_inspector(), "inspect an engine")',
        "self._engine.create_engine_inspector()",
    ),
    "Missing positional argument": ("writer.py", "mean, SPATIAL, False)", "mean, SPATIAL)"),
    "read-only": ("writer.py", 'tensor.name = "output"', "tensor.dtype = self.trt.int8"),
}
"""What mypy says of a mistake, the file, and the mistake."""


@pytest.mark.slow
def test_mypy_holds_our_code_to_the_declarations(copy: Path, planted: Plant) -> None:
    assert typed(copy) == ""
    for message, (name, old, new) in MISTAKES.items():
        path = copy / TRT / name
        whole = path.read_text(encoding="utf-8")
        found = typed(planted(name, old, new))
        assert re.search(rf"^{re.escape(str(TRT / name))}:.*{re.escape(message)}", found, re.M), (
            found
        )
        path.write_text(whole, encoding="utf-8")


def checked(what: str, folder: Path) -> str:
    """What `trt_networks.py` has against the package in `folder`, or ""."""
    done = ran(str(ROOT / "tests" / "trt_networks.py"), what, folder=folder)
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout.strip() if done.returncode else ""


@needs_rtx
@pytest.mark.parametrize("what", ["residual", "tf32"])
def test_networks_and_settings_are_as_they_must_be(what: str) -> None:
    assert checked(what, ROOT) == ""


RESIDUAL = 'shortcut = layers.settled(layers.conv(f"{prefix}projection", tensor, widths, s.stride))'


@needs_rtx
def test_a_residual_that_is_not_quantised_is_found(planted: Plant) -> None:
    raw = RESIDUAL.replace("layers.settled(", "").replace("s.stride))", "s.stride)")
    folder = planted("../pieces.py", RESIDUAL, raw)
    assert checked("residual", folder) == "piece0/add reads a residual of floats"


UNROUNDED = {
    "reads": ("self.settled(super().relu(name, tensor), result)", "super().relu(name, tensor)"),
    "conv1 reads floats": ('return self.output(dequantise, f"{name}.dq")', "return given"),
    "maps leave as floats": ("return rounded if result == OUTPUT else", "return"),
}


@needs_rtx
@pytest.mark.parametrize("message", UNROUNDED)
def test_a_missing_rounding_is_found(message: str, planted: Plant) -> None:
    old, new = UNROUNDED[message]
    assert message in checked("residual", planted("writer_int8.py", old, new))


@needs_rtx
def test_an_addend_that_is_rounded_is_found(planted: Plant) -> None:
    folder = planted(
        "../pieces.py", "x = layers.addend(layers.conv(", "x = layers.settled(layers.conv("
    )
    assert "cannot be fused" in checked("residual", folder)


@needs_rtx
def test_tf32_left_on_is_found(planted: Plant) -> None:
    folder = planted("settings.py", "config.clear_flag(trt.BuilderFlag.TF32)", "pass")
    assert checked("tf32", folder) == "fp32 layers may use TF32"
