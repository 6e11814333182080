"""Holds `profiler/trt/api.py` to the bindings of TensorRT 11.4; run in a process of its own.

    python tests/trt_bindings.py profiler/trt

The bindings load without TensorRT's libraries, driver and GPU once stubs of the libraries are in
the process; nothing can be called then, but every class, member and signature is there. Prints
JSON: what is wrong, what was checked, and every member name that TensorRT has.
"""

from __future__ import annotations

import ast
import ctypes
import importlib
import importlib.util
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LIBRARIES = ("libnvinfer.so.11", "libnvinfer_plugin.so.11", "libnvonnxparser.so.11")
POINTERS = (
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "getBuilderPluginRegistry",
    "getPluginRegistry",
)
NUMBERS = {"getNvOnnxParserVersion": 0, "initLibNvInferPlugins": 1}
NOT_PYTHON = {"__buffer__", "__int__"}
"""Protocols of the interpreter; the real builds use them."""
ELSEWHERE = {"Severities": "ILogger.Severity"}
ALIKE = {"Sequence[int]": "Dims", "ParserError": "IParserError"}
"""Ours -> what the docstrings have."""


def bindings() -> Any:
    """The module of the real bindings, over stubs of its libraries where those are missing."""
    if importlib.util.find_spec("tensorrt_libs") is None:
        load_stubs()
    return importlib.import_module("tensorrt_bindings")


def load_stubs() -> None:
    """Puts libraries into the process that have the names TensorRT's bindings look for."""
    functions = [f"void *{name}(void) {{ return 0; }}" for name in POINTERS]
    functions += [f"int {name}(void) {{ return {n}; }}" for name, n in NUMBERS.items()]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "stubs.c")
        source.write_text("\n".join(functions), encoding="utf-8")
        for library in LIBRARIES:
            path = Path(folder, library)
            command = [
                "gcc",
                "-shared",
                "-fPIC",
                f"-Wl,-soname,{library}",
                "-o",
                str(path),
                str(source),
            ]
            subprocess.run(command, check=True)
            ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)


class Checker:
    """Collects what is wrong."""

    def __init__(self, trt: Any) -> None:
        self.trt = trt
        self.wrong: list[str] = []
        self.checked: list[str] = []

    def classes(self, path: Path) -> None:
        """Every class of `api.py`."""
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                real = self._find(self.trt, ELSEWHERE.get(node.name, node.name))
                if real is not None:
                    self._members(node, node.name, real)

    def module(self, path: Path) -> None:
        """The class `TensorRT` of `module.py`: members of the module, classes by constructor."""
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                self._members(node, "tensorrt", self.trt)

    def _members(self, node: ast.ClassDef, owner: str, real: Any) -> None:
        for item in node.body:
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                self._attribute(owner, real, item)
            elif isinstance(item, ast.FunctionDef) and item.name not in NOT_PYTHON:
                self._function(owner, real, item)

    def _attribute(self, owner: str, real: Any, item: ast.AnnAssign) -> None:
        name = item.target.id if isinstance(item.target, ast.Name) else ""
        found = self._find(real, name, owner)
        if found is None or owner == "tensorrt":
            return
        own = hasattr(real, "__members__")  # an enumeration's member
        if not own and not isinstance(found, type) and getattr(found, "fset", None) is None:
            self.wrong.append(f"{owner}.{name} cannot be set")

    def _function(self, owner: str, real: Any, item: ast.FunctionDef) -> None:
        found = self._find(real, item.name, owner)
        if found is None:
            return
        if any(isinstance(d, ast.Name) and d.id == "property" for d in item.decorator_list):
            if not isinstance(found, property):
                self.wrong.append(f"{owner}.{item.name} is no property")
            return
        called = vars(found)["__init__"] if isinstance(found, type) else found
        name = called.__name__
        ours = [argument.arg for argument in (*item.args.posonlyargs, *item.args.args)][1:]
        result = "" if isinstance(found, type) else returned(item)
        candidates = list(signatures(name, called.__doc__ or ""))
        if not any(accepts(ours, result, *candidate) for candidate in candidates):
            self.wrong.append(f"{owner}.{item.name}{ours} -> {result or '?'} is not {candidates}")

    def _find(self, holder: Any, dotted: str, owner: str = "tensorrt") -> Any:
        found = holder
        for part in dotted.split("."):
            if not hasattr(found, part):
                self.wrong.append(f"{owner} has no {dotted}")
                return None
            found = getattr(found, part)
        self.checked.append(f"{owner}.{dotted}")
        return found


def returned(item: ast.FunctionDef) -> str:
    """The class that a function of ours returns, without `| None`."""
    text = ast.unparse(item.returns) if item.returns else "None"
    return text.removesuffix(" | None").rpartition(".")[2]


def signatures(name: str, document: str) -> Iterator[tuple[list[tuple[str, bool]], str]]:
    """Arguments, each with whether it is required, and result, of each overload in a docstring."""
    for arguments, result in re.findall(rf"^(?:\d+\. )?{name}\((.*)\) -> (.*)$", document, re.M):
        parts = [part for part in split(arguments) if not part.startswith(("self", "*"))]
        named = [(part.partition(":")[0].strip(), "=" not in part) for part in parts]
        yield named, result.strip().rpartition(".")[2].rpartition(":")[2]


def split(arguments: str) -> list[str]:
    """Arguments apart, by the commas outside brackets."""
    parts, depth = [""], 0
    for letter in arguments:
        depth += (letter in "[<(") - (letter in "]>)")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts if part.strip()]


def accepts(ours: list[str], result: str, named: list[tuple[str, bool]], real: str) -> bool:
    """Whether a call with our arguments, in order, fits a signature; and gives what we think."""
    names = [name for name, _ in named]
    required = [name for name, needed in named if needed]
    fits = names[: len(ours)] == ours and set(required) <= set(ours)
    derived = result == "ILayer" and real.startswith("I") and real.endswith("Layer")
    return fits and (not result or derived or ALIKE.get(result, result) == real)


def members(trt: Any) -> list[str]:
    """Every public name of the module and its classes."""
    found = {name for name in dir(trt) if not name.startswith("_")}
    for value in vars(trt).values():
        if isinstance(value, type):
            found |= {name for name in dir(value) if not name.startswith("_")}
    return sorted(found)


def main(folder: Path) -> None:
    trt = bindings()
    checker = Checker(trt)
    checker.classes(folder / "api.py")
    checker.module(folder / "module.py")
    json.dump(
        {
            "version": trt.__version__,
            "wrong": checker.wrong,
            "checked": checker.checked,
            "members": members(trt),
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
