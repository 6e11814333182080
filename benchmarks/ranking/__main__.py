"""`python -m benchmarks.ranking FOLDER IMAGES --device cuda --workers 14`: runs what is missing.

Rows go to FOLDER/rows.jsonl as they come, so that a killed or timed-out run continues. The
supernets come first, as they take longest; then networks, one seed after another; then what the
sandwich supernet proposed.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.ranking import work
from benchmarks.ranking.images import pack
from benchmarks.ranking.protocol import SUPERNETS, configs, load
from supernet.config import ChannelConfig

Key = tuple[str, str, int]
"""Kind of work, name, seed."""


def pieces(
    protocol: dict[str, Any], supernets: Sequence[str], supernet_seeds: Sequence[int], nets: int
) -> Iterator[Key]:
    """What there is to do, the most wanted first."""
    for seed in supernet_seeds:
        for name in supernets:
            yield "supernet", name, seed
    for seed in protocol["seeds"]:
        for name in list(configs(protocol))[: nets or None]:
            yield "net", name, seed


def done(rows: Path) -> dict[Key, dict[str, Any]]:
    """Rows by what they are of; half a last line is left out."""
    found = {}
    for line in rows.read_text(encoding="utf-8").splitlines() if rows.exists() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        found[row["kind"], row["name"], row["seed"]] = row
    return found


def run(given: argparse.Namespace, protocol: dict[str, Any]) -> None:
    """Works until all is done or the time is over."""
    rows, deadline = given.folder / "rows.jsonl", time.monotonic() + given.minutes * 60
    known = done(rows)
    todo = [
        k
        for k in pieces(protocol, given.supernets, given.supernet_seeds, given.nets)
        if k not in known
    ]
    wanted = configs(protocol)
    running: dict[Future[dict[str, Any]], Key] = {}
    proposed: dict[str, ChannelConfig] = {}
    with (
        ProcessPoolExecutor(given.workers, mp_context=get_context("spawn")) as pool,
        rows.open("a", encoding="utf-8") as file,
    ):
        for key in _proposals(protocol, known, proposed):
            todo += [key] if key not in known else []
        while (todo or running) and time.monotonic() < deadline:
            while todo and len(running) < given.workers:
                kind, name, seed = key = todo.pop(0)
                start = (protocol, given.folder, given.device)
                if kind == "supernet":
                    running[pool.submit(work.supernet, *start, name, seed)] = key
                else:
                    config = {**wanted, **proposed}[name]
                    running[pool.submit(work.net, *start, config, seed)] = key
            ready, _ = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)
            for future in ready:
                kind, name, seed = running.pop(future)
                row = {"kind": kind, "name": name, "seed": seed, **future.result()}
                known[kind, name, seed] = row
                file.write(json.dumps(row) + "\n")
                file.flush()
                print(f"{kind} {name} {seed}: {row['seconds']:.1f} s", flush=True)
                if "proposals" in row:
                    todo = [*_proposals(protocol, known, proposed), *todo]
        for process in list((pool._processes or {}).values()) if running else ():
            process.kill()


def _proposals(
    protocol: dict[str, Any], known: dict[Key, dict[str, Any]], proposed: dict[str, ChannelConfig]
) -> list[Key]:
    """What the supernet proposed, as work."""
    row = known.get(("supernet", "sandwich", 0))
    for number, found in enumerate(row.get("proposals", ()) if row else ()):
        proposed[f"proposed-{number}"] = ChannelConfig.from_json(found["config"])
    return [("net", name, seed) for name in proposed for seed in protocol["seeds"][:2]]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("images", type=Path, help="Folder with train/ and val/.")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--workers", type=int, default=14)
    parser.add_argument("--minutes", type=float, default=1e6)
    parser.add_argument("--supernets", nargs="*", choices=list(SUPERNETS), default=list(SUPERNETS))
    parser.add_argument("--supernet-seeds", nargs="*", type=int, default=[0, 1])
    parser.add_argument("--nets", type=int, default=0, help="Only so many configs.")
    parser.add_argument("--epochs", type=int, help="Instead of the protocol's: for trying out.")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    protocol = load()
    if given.epochs is not None:
        protocol["net"] |= {"epochs": given.epochs, "warmup_epochs": 0}
        protocol["supernets"] = {
            name: {**found, "epochs": given.epochs} for name, found in protocol["supernets"].items()
        }
    if not (packed := given.folder / "images.npz").exists():
        pack(given.images, packed.with_name("packing.npz"))
        packed.with_name("packing.npz").replace(packed)
    run(given, protocol)


if __name__ == "__main__":
    main()
