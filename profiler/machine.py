"""Facts about this machine, and how much CPU time others take from us while we measure.

Reads /proc, /sys and sysctl. What a system does not tell is left out, never guessed. Knows
nothing of runtimes.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib import metadata
from pathlib import Path

from profiler import memory

INSTRUCTIONS = {
    "avx512f": "avx512",
    "avx512_vnni": "vnni",
    "avx_vnni": "vnni",
    "amx_int8": "amx",
    "avx2": "avx2",
    "sve": "sve",
    "asimd": "neon",
    "neon": "neon",
    "asimddp": "dotprod",
}
"""CPU flag -> what we call it: the vector instructions that decide a convolution's speed."""


def device() -> str:
    """A stable name of this CPU with its vector instructions: "AMD EPYC (avx2)"."""
    return f"{cpu_name()} ({isa()})"


def facts() -> dict[str, str]:
    """What is known beside the identity of the target: cores, governor, quota, load, kernel."""
    known = {
        "isa": " ".join(isa_flags()),
        "cores": str(os.cpu_count() or 1),
        "usable_cores": str(usable_cores()),
        "affinity": ",".join(map(str, affinity())),
        "governor": _read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "cpu_quota": quota(),
        "kernel": f"{platform.system()} {platform.release()}",
        "load_average": _load_average(),
        "steal_ms": f"{steal_ms():.0f}",
        "clock_mhz": _cpuinfo("cpu MHz"),
        "memory": memory.description(),
        "python": platform.python_version(),
        "stairprune": _version(),
        "revision": _revision(),
    }
    return {name: value for name, value in known.items() if value}


def _version() -> str:
    try:
        return metadata.version("stairprune")
    except metadata.PackageNotFoundError:
        return ""


def _revision() -> str:
    """Of the checkout this runs from, if it is one."""
    folder = Path(__file__).parent.parent
    if not (folder / ".git").exists():
        return ""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "--short=12", "HEAD"],
            capture_output=True, text=True, timeout=5, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def cpu_name() -> str:
    """The CPU's marketing name without clock, trademarks and core count."""
    name = _cpuinfo("model name") or _sysctl("machdep.cpu.brand_string") or platform.machine()
    name = re.sub(r"\((R|TM|C)\)|@.*|\bCPU\b|\bProcessor\b|\b\d+-Core\b", " ", name, flags=re.I)
    return " ".join(name.split()) or "unknown CPU"


def isa_flags() -> list[str]:
    """Those of our `INSTRUCTIONS` that this CPU has, in our words."""
    flags = set((_cpuinfo("flags") or _cpuinfo("Features")).split())
    if not flags and platform.system() == "Darwin":
        arm = platform.machine() == "arm64"
        flags = {"asimd"} if arm else set(_sysctl("machdep.cpu.leaf7_features").lower().split())
    return list(dict.fromkeys(word for flag, word in INSTRUCTIONS.items() if flag in flags))


def isa() -> str:
    """The flags that name a device: avx2 goes without saying where there is avx512."""
    flags = isa_flags()
    return " ".join(f for f in flags if f != "avx2" or "avx512" not in flags) or "scalar"


def affinity() -> list[int]:
    """The cores this process may use; empty where the system has no affinity."""
    if not hasattr(os, "sched_getaffinity"):
        return []
    return sorted(os.sched_getaffinity(0))


def usable_cores() -> int:
    """Cores this process may use."""
    return len(affinity()) or os.cpu_count() or 1


def free_bytes() -> int:
    """Memory that can be had without swapping; 4 GB where unknown."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB", _read("/proc/meminfo"), flags=re.M)
    return int(found.group(1)) * 1024 if found else 4 << 30


def quota() -> str:
    """The control group's CPU quota in cores, such as "1.5"; empty if there is none."""
    limit, _, period = _read("/sys/fs/cgroup/cpu.max").partition(" ")
    if not period:
        limit = _read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
        period = _read("/sys/fs/cgroup/cpu/cpu.cfs_period_us")
    if not (limit.isdigit() and period.isdigit() and int(period)):
        return ""
    return f"{int(limit) / int(period):g}"


def steal_ms() -> float:
    """CPU time the hypervisor gave to others since boot, per core; 0 where unknown."""
    fields = _read("/proc/stat").partition("\n")[0].split()
    if len(fields) < 9 or fields[0] != "cpu":
        return 0.0
    return int(fields[8]) * 1000 / os.sysconf("SC_CLK_TCK") / (os.cpu_count() or 1)


def queued_ms() -> float:
    """Time this process's threads were ready to run but others had the core; 0 where unknown."""
    waited = 0
    for task in _children("/proc/self/task"):
        fields = _read(f"/proc/self/task/{task}/schedstat").split()
        waited += int(fields[1]) if len(fields) > 1 else 0
    return waited / 1e6


def foreign_ms() -> float:
    """CPU time that all cores spent on others than this process since boot; 0 where unknown."""
    fields = _read("/proc/stat").partition("\n")[0].split()
    if len(fields) < 8 or fields[0] != "cpu":
        return 0.0
    user, nice, system, _, _, irq, soft = (int(field) for field in fields[1:8])
    busy = (user + nice + system + irq + soft) * 1000 / os.sysconf("SC_CLK_TCK")
    own = os.times()
    return busy - 1000 * (own.user + own.system)


class Contention:
    """Watches for CPU time lost to the hypervisor, and for what other processes do.

    Called with the length of what was just measured, it says what disturbed it, or "". Work of
    others on cores that are not measured counts too, but less: it takes caches and clocks.
    """

    def __init__(self, tolerance: float = 0.1, beside: float = 0.35) -> None:
        self.tolerance = {
            "hypervisor": tolerance,
            "waiting for a core": tolerance,
            "other processes": beside,
        }
        self._last = self._now()

    def __call__(self, ms: float) -> str:
        now = self._now()
        lost = {name: max(0.0, now[name] - before) for name, before in self._last.items()}
        self._last = now
        for name, part in lost.items():
            # the kernel counts in steps of 10 ms
            least = 30.0 if name == "other processes" else 0.0
            if part > max(least, self.tolerance[name] * ms):
                return f"{name} took {part:.1f} ms of {ms:.0f} ms"
        return ""

    @staticmethod
    def _now() -> dict[str, float]:
        return {
            "hypervisor": steal_ms(),
            "waiting for a core": queued_ms(),
            "other processes": foreign_ms(),
        }


def _cpuinfo(key: str) -> str:
    found = re.search(rf"^{key}\s*:\s*(.*)$", _read("/proc/cpuinfo"), flags=re.M)
    return found.group(1).strip() if found else ""


def _sysctl(key: str) -> str:
    if platform.system() != "Darwin":
        return ""
    try:
        done = subprocess.run(
            ["/usr/sbin/sysctl", "-n", key], capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _load_average() -> str:
    try:
        return " ".join(f"{load:.2f}" for load in os.getloadavg())
    except (OSError, AttributeError):
        return ""


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _children(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []
