"""How the measuring process gets its memory: huge pages, where the system gives them.

With pages of 4 KiB, where a network's weights happen to lie decides up to 8 % of its latency, anew
for every process and every model; with huge pages that falls to 1 %, and networks are about 7 %
faster. The GNU C library asks for them if told so before a process starts.
"""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

TUNABLE = "glibc.malloc.hugetlb=1"
SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")
OFF = "STAIRPRUNE_HUGE_PAGES"
"""Set to 0 to measure with the system's default memory."""


def environment() -> dict[str, str]:
    """The environment of a process that measures."""
    env = dict(os.environ)
    if wanted():
        known = env.get("GLIBC_TUNABLES", "")
        if "glibc.malloc.hugetlb" not in known:
            env["GLIBC_TUNABLES"] = ":".join(filter(None, [known, TUNABLE]))
    return env


def wanted() -> bool:
    """Whether huge pages can be had by asking, and are not switched off."""
    if os.environ.get(OFF) == "0" or platform.libc_ver()[0] != "glibc":
        return False
    try:
        return "[never]" not in SETTING.read_text()
    except OSError:
        return False


def description() -> str:
    """For the record of a target."""
    return "huge pages" if wanted() else "default pages"


def huge_share() -> float | None:
    """Share of this process's own memory that lies in huge pages; None where unknown."""
    try:
        text = Path("/proc/self/smaps_rollup").read_text()
    except OSError:
        return None
    found = {
        key: int(value)
        for key, value in re.findall(r"^(Anonymous|AnonHugePages):\s+(\d+)", text, re.M)
    }
    if not found.get("Anonymous"):
        return None
    return found.get("AnonHugePages", 0) / found["Anonymous"]
