"""What a person sees while a job runs: bars with time left on a terminal, plain lines elsewhere.

Everything here goes to standard error, so that standard output carries results alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Report = Callable[[int, int, str], None]
"""(done, total, note), as every room's long loops call it."""

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)

_PLAIN_EVERY_S = 10.0


def say(text: str) -> None:
    """One line for the person watching."""
    err.print(text, highlight=False)


@contextmanager
def progress(title: str) -> Iterator[Report]:
    """A bar (terminal) or a line every ten seconds (elsewhere)."""
    if not err.is_terminal:
        yield _plain(title)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(elapsed_when_finished=False),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=err) as bar:
        task = bar.add_task(title, total=None, note="")
        yield lambda done, total, note: bar.update(task, completed=done, total=total, note=note)


def _plain(title: str) -> Report:
    start = last = time.monotonic()

    def report(done: int, total: int, note: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _PLAIN_EVERY_S or done == total:
            last = now
            left = (now - start) / done * (total - done) if done else 0.0
            timing = f"{now - start:.0f} s" + (f", about {left:.0f} s left" if left > 1 else "")
            say(f"  {title}: {done}/{total} ({timing}) {note}".rstrip())

    return report
