"""The process that measures: models cross to it, errors and deaths come back as one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profiler import memory
from profiler.affinity import AffinityError, pinned
from profiler.backend import BackendError, load
from profiler.machine import usable_cores
from profiler.models import Chain, File, Model, Whole, model_from_json, piece
from profiler.protocol import Protocol
from profiler.session import run_session
from supernet.network import NetworkSpec
from supernet.shapes import BlockShape, HeadShape, StemShape

NETWORK = NetworkSpec(depths=(1, 2), width=0.25, stem="3x3/1", resolution=8, channels=1, classes=3)
BLOCK = BlockShape(8, 1, "identity", 16, 4, 8, 16)
FAST = Protocol(rounds=2, round_ms=0.5, warmup_ms=1.0, warmup_cap_ms=20.0, model_cap_ms=1.0)
ort = pytest.mark.skipif(
    load("onnxruntime").unavailable() is not None, reason="onnxruntime is not installed"
)


@pytest.mark.parametrize(
    "model",
    [
        piece(StemShape("7x7/2+maxpool", 224, 3, 64)),
        Chain((BLOCK, BLOCK)),
        piece(HeadShape(7, 2048, 1000)),
        Whole(NETWORK, NETWORK.uniform(0.5)),
        File("some/model.onnx"),
    ],
    ids=lambda model: type(model).__name__,
)
def test_models_survive_the_crossing(model: Model) -> None:
    assert model_from_json(model.to_json()) == model


@ort
def test_a_session_in_its_own_process_measures_all_kinds(tmp_path: Path) -> None:
    from profiler.graphs import network_model

    path = tmp_path / "model.onnx"
    path.write_bytes(network_model(NETWORK, NETWORK.dense(), 1))
    notes: list[str] = []
    target = load("onnxruntime").target("fp32", 1, 1)
    models: dict[str, Model] = {
        "one": piece(BLOCK),
        "two": Chain((BLOCK, BLOCK)),
        "whole": Whole(NETWORK, NETWORK.dense()),
        "file": File(str(path)),
    }
    found = run_session(target, models, piece(BLOCK), FAST, lambda d, t, note: notes.append(note))
    assert set(found.measurements) == set(models)
    assert all(len(m.rounds) == 2 for m in found.measurements.values())
    assert min(found.measurements["one"].rounds) < max(found.measurements["whole"].rounds)
    assert found.level > 0
    assert notes
    if found.huge_pages is not None:
        assert 0 <= found.huge_pages <= 1


@ort
def test_an_error_in_the_process_is_one_of_ours() -> None:
    target = load("onnxruntime").target("fp32", 1, 1)
    with pytest.raises(BackendError, match=r"absent\.onnx"):
        run_session(target, {"m": File("absent.onnx")}, piece(BLOCK), FAST)
    many = load("onnxruntime").target("fp32", 1, usable_cores() + 1)
    with pytest.raises(BackendError, match="threads must be at most"):
        run_session(many, {"m": piece(BLOCK)}, piece(BLOCK), FAST)


@ort
def test_a_process_that_dies_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    real = subprocess.Popen

    def dying(command: list[str], **more: object) -> subprocess.Popen[str]:
        code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
        return real([sys.executable, "-c", code], **more)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr("profiler.session.subprocess.Popen", dying)
    target = load("onnxruntime").target("fp32", 1, 1)
    with pytest.raises(BackendError, match=r"without an answer \(exit code -9\)"):
        run_session(target, {"m": piece(BLOCK)}, piece(BLOCK), FAST)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_pinning_keeps_to_the_last_cores_and_gives_the_others_back() -> None:
    before = os.sched_getaffinity(0)
    with pinned(1) as cores:
        assert cores == (max(before),)
        assert os.sched_getaffinity(0) == set(cores)
    assert os.sched_getaffinity(0) == before
    with pytest.raises(AffinityError, match=f"at most the {len(before)} cores"), pinned(999):
        pass


@given(st.sampled_from(["", "glibc.malloc.check=0", "glibc.malloc.hugetlb=2"]))
def test_the_environment_keeps_what_was_set(known: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "wanted", lambda: True)
        patch.setenv("GLIBC_TUNABLES", known)
        asked = memory.environment()["GLIBC_TUNABLES"].split(":")
        assert "" not in asked
        assert sum("hugetlb" in entry for entry in asked) == 1
        assert known in ("", *asked)


def test_huge_pages_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(memory.OFF, "0")
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    assert "GLIBC_TUNABLES" not in memory.environment()
    assert memory.description() == "default pages"
