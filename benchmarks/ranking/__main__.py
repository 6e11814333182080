"""`python -m benchmarks.ranking FOLDER [IMAGES] --device cuda --workers 14`: runs what is missing.

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
from benchmarks.ranking.images import pack, pack_named
from benchmarks.ranking.protocol import STUDIES, configs, load

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
    parser.add_argument("images", type=Path, nargs="?", help="Folder with train/ and val/.")
    parser.add_argument("--data", choices=list(STUDIES), default="tiny-imagenet-20")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--workers", type=int, default=14)
    parser.add_argument("--minutes", type=float, default=1e6)
    parser.add_argument("--supernets", nargs="*", help="Only these of the protocol's.")
    parser.add_argument("--supernet-seeds", nargs="*", type=int, default=[0, 1])
    parser.add_argument("--nets", type=int, default=0, help="Only so many configs.")
    parser.add_argument("--epochs", type=int, help="Instead of the protocol's: for trying out.")
    given = parser.parse_args()
    protocol = load(given.data)
    supernets = list(protocol["supernets"]) if given.supernets is None else given.supernets
    if wrong := set(supernets) - set(protocol["supernets"]):
        known = ", ".join(protocol["supernets"])
        parser.error(f"--supernets must be of {known}, but got {', '.join(sorted(wrong))}")
    if given.data == "tiny-imagenet-20" and given.images is None:
        parser.error("this data set needs IMAGES, a folder with train/ and val/")
    if given.epochs is not None:
        protocol["net"] |= {"epochs": given.epochs, "warmup_epochs": 0}
        protocol["supernets"] = {
            name: {**found, "epochs": given.epochs} for name, found in protocol["supernets"].items()
        }
    given.folder.mkdir(parents=True, exist_ok=True)
    prepare(given.data, given.images, given.folder / "images.npz")
    start = (protocol, given.folder, given.device)
    todo = list(pieces(protocol, start, supernets, given.supernet_seeds, given.nets))
    work_off(todo, given.folder / ROWS, workers=given.workers, minutes=given.minutes)


def prepare(name: str, images: Path | None, packed: Path) -> None:
    """Packs a data set's images into one file, unless that was done."""
    if packed.exists():
        return
    part = packed.with_name("packing.npz")
    if images is not None:
        pack(images, part)
    else:
        pack_named(name, STUDIES[name].network, part)
    part.replace(packed)


if __name__ == "__main__":
    main()
