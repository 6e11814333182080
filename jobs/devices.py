"""Devices of a host and who holds them: CPU slots, and GPUs by their uuid.

A slot is a row whose key is host, device and number, so the database itself refuses to give one
away twice. A measuring stage takes all CPU slots; a GPU is always taken whole.
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from jobs import schema
from jobs.errors import SubmissionError

Slot = tuple[str, int]
"""Device ("cpu" or a GPU's uuid) and number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What one executor has to give.

    Attributes:
        cpu_slots: stages that may share the CPU.
        gpus: uuids.
        classes: words for what it is, as `a100`; stages may ask for one.
        address: where other hosts reach it.
    """

    name: str
    cpu_slots: int
    gpus: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    address: str = "127.0.0.1"

    def __post_init__(self) -> None:
        if self.cpu_slots < 1:
            raise SubmissionError(f"cpu_slots must be >= 1, but got {self.cpu_slots}")

    def cpu_free(self, taken: set[Slot]) -> bool:
        """Whether a CPU slot is left beside those `taken`."""
        return any(slot not in taken for slot in self._cpu())

    def gpus_free(self, taken: set[Slot]) -> bool:
        """Whether a GPU is left beside those `taken`."""
        return any(slot not in taken for slot in self._gpus())

    def fit(self, cpu: str, gpus: int, taken: set[Slot]) -> list[Slot] | None:
        """Slots for these needs beside those `taken`, or None."""
        cpus = [slot for slot in self._cpu() if slot not in taken]
        cards = [slot for slot in self._gpus() if slot not in taken]
        wanted = self.cpu_slots if cpu == "all" else 1
        if len(cpus) < wanted or len(cards) < gpus:
            return None
        return cpus[:wanted] + cards[:gpus]

    def reserve(self, cpu: str, gpus: int, taken: set[Slot]) -> set[Slot]:
        """Slots kept for a stage that does not fit yet, so that later ones do not starve it.

        A shared CPU slot is not kept for one that waits for a GPU: slots come free often.
        """
        cards = [slot for slot in self._gpus() if slot not in taken]
        return {*cards[:gpus], *(self._cpu() if cpu == "all" else [])}

    def _cpu(self) -> list[Slot]:
        return [("cpu", number) for number in range(self.cpu_slots)]

    def _gpus(self) -> list[Slot]:
        return [(uuid, 0) for uuid in self.gpus]


def this_host(cpu_slots: int | None = None, classes: Sequence[str] = ()) -> Host:
    """This machine; half its usable cores as slots if not given, since training takes several."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    slots = cpu_slots if cpu_slots is not None else max(1, (cores or 1) // 2)
    name = socket.gethostname()
    return Host(name=name, cpu_slots=slots, gpus=_nvidia(), classes=tuple(classes))


def _nvidia() -> tuple[str, ...]:
    command = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in done.stdout.splitlines() if line.startswith("GPU-"))


def taken(tx: Connection) -> dict[str, set[Slot]]:
    """Slots that someone holds, by host; of a host that holds none, an empty set."""
    table, found = schema.slots, defaultdict[str, set[Slot]](set)
    for host, device, slot in tx.execute(select(table.c.host, table.c.device, table.c.slot)):
        found[host].add((device, slot))
    return found


def take(
    tx: Connection, host: str, attempt: int, chosen: Sequence[Slot], member: int = 0
) -> tuple[str, ...]:
    """Gives the slots to a member of an attempt; returns those of them that are GPUs."""
    row = {"host": host, "attempt": attempt, "member": member}
    tx.execute(insert(schema.slots), [{**row, "device": d, "slot": n} for d, n in chosen])
    return tuple(device for device, _ in chosen if device != "cpu")
