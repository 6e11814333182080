"""`python -m benchmarks.ranking FOLDER IMAGES --device cuda --workers 14`: runs what is missing.

Rows go to FOLDER/rows.jsonl as they come, so that a killed or timed-out run continues. The
supernets come first, as they take longest; then what the sandwich supernet proposed, and networks,
one seed after another.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.pieces import Piece, Row, work_off
from benchmarks.ranking import work
from benchmarks.ranking.images import pack
from benchmarks.ranking.protocol import SUPERNETS, configs, load

ROWS = "rows.jsonl"


def pieces(
    protocol: Row, start: tuple[Any, ...], supernets: Sequence[str], seeds: Sequence[int], nets: int
) -> Iterator[Piece]:
    """What there is to do, the most wanted first.

    Args:
        start: protocol, folder and device, as the work wants them.
        nets: only so many configs; 0: all.
    """
    for seed in seeds:
        for name in supernets:
            yield Piece(f"supernet {name} {seed}", (), work.supernet, (*start, name, seed))
    if "sandwich" in supernets and 0 in seeds:
        needs = (work.PROPOSER,)
        for number in range(protocol["proposed"]):
            for seed in protocol["seeds"][:2]:
                args = (*start, number, seed)
                yield Piece(f"net proposed-{number} {seed}", needs, work.proposed_net, args)
    for seed in protocol["seeds"]:
        for name, config in list(configs(protocol).items())[: nets or None]:
            yield Piece(f"net {name} {seed}", (), work.net, (*start, config, seed))


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
    start = (protocol, given.folder, given.device)
    todo = list(pieces(protocol, start, given.supernets, given.supernet_seeds, given.nets))
    work_off(todo, given.folder / ROWS, workers=given.workers, minutes=given.minutes)


if __name__ == "__main__":
    main()
