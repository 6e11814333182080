"""Machine facts, CPU time lost to others, and the device lock."""

from __future__ import annotations

import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from profiler import lock, machine
from profiler.lock import DeviceBusyError, lock_file, measuring


def test_facts_are_text_and_the_device_is_stable() -> None:
    facts = machine.facts()
    assert all(isinstance(value, str) and value for value in facts.values())
    assert int(facts["usable_cores"]) >= 1
    assert machine.device() == machine.device()
    assert machine.cpu_name() in machine.device()
    assert facts["memory"] in ("huge pages", "default pages")


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("model name : AMD EPYC\nflags : sse2 avx avx2", "AMD EPYC (avx2)"),
        (
            "model name : Intel(R) Xeon(R) Platinum 8375C CPU @ 2.90GHz\n"
            "flags : avx2 avx512f avx512_vnni",
            "Intel Xeon Platinum 8375C (avx512 vnni)",
        ),
        (
            "model name : AMD Ryzen 9 7950X 16-Core Processor\nflags : avx2",
            "AMD Ryzen 9 7950X (avx2)",
        ),
    ],
)
def test_the_device_is_named_without_clock_and_trademarks(
    text: str, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_read", lambda path: text if path == "/proc/cpuinfo" else "")
    assert machine.device() == device


def test_a_system_that_tells_nothing_is_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_read", lambda path: "")
    monkeypatch.setattr(machine, "_children", lambda path: [])
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(machine, "affinity", list)
    assert "governor" not in machine.facts()
    assert machine.steal_ms() == 0.0
    assert machine.quota() == ""
    assert machine.Contention()(100.0) == ""
    assert machine.device()


@pytest.mark.parametrize(("text", "cores"), [("max 100000", ""), ("150000 100000", "1.5")])
def test_the_quota_of_the_control_group(
    text: str, cores: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_read", lambda path: text if path.endswith("cpu.max") else "")
    assert machine.quota() == cores


def test_contention_tells_what_others_took(monkeypatch: pytest.MonkeyPatch) -> None:
    queued = iter([0.0, 5.0, 30.0, 30.0])
    foreign = iter([0.0, 25.0, 50.0, 100.0])
    monkeypatch.setattr(machine, "steal_ms", lambda: 0.0)
    monkeypatch.setattr(machine, "queued_ms", lambda: next(queued))
    monkeypatch.setattr(machine, "foreign_ms", lambda: next(foreign))
    watch = machine.Contention(tolerance=0.1)
    assert watch(100.0) == ""
    assert "waiting for a core took 25.0 ms of 100 ms" in watch(100.0)
    assert "other processes took 50.0 ms of 100 ms" in watch(100.0)


def test_work_of_other_processes_is_seen_and_our_own_is_not() -> None:
    if machine.foreign_ms() == 0.0:
        pytest.skip("this system does not tell")
    before, start = machine.foreign_ms(), time.monotonic()
    while time.monotonic() - start < 0.3:
        pass
    own = machine.foreign_ms() - before
    before = machine.foreign_ms()
    subprocess.run(
        [sys.executable, "-c", "import time\ns=time.monotonic()\nwhile time.monotonic()-s<0.6: 1"],
        check=True,
    )
    assert machine.foreign_ms() - before > own + 200


def test_the_lock_names_its_file_when_another_process_measures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    code = (
        "from profiler.lock import measuring\nwith measuring('Some CPU (avx2)'):\n"
        "    print('held', flush=True)\n    input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        notes: list[str] = []
        with (
            pytest.raises(DeviceBusyError, match=r"measuring-some-cpu-avx2\.lock"),
            measuring("Some CPU (avx2)", 0.1, notes.append),
        ):
            pass
        assert "measuring-some-cpu-avx2.lock" in notes[0]
        with measuring("Another CPU"):
            pass
        other.kill()
    # the lock of a killed process is free
    with measuring("Some CPU (avx2)") as path:
        assert path == lock_file("Some CPU (avx2)")
        assert path.parent == tmp_path / "stairprune"


def test_a_home_that_cannot_be_written_falls_back_to_the_temporary_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    assert lock.cache_dir().parent == tmp_path
    assert lock.cache_dir().is_dir()
