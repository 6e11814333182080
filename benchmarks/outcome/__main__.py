"""`python -m benchmarks.outcome STEP SPEC FOLDER`: the study's steps, each of which can be resumed.

    profile   the latency table, on the machine that the networks shall be fast on
    train     teacher, supernet, choices and networks; `--device cuda --workers 12` on a GPU server
    measure   every chosen network end to end, on the machine of the table
    report    table, JSON and plot

Steps read each other's files in FOLDER, which may travel between machines.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

from benchmarks.outcome import images, work
from benchmarks.outcome.study import DENSE, METHODS, Study
from benchmarks.pieces import Piece, work_off

ROWS = "rows.jsonl"
TEACHER, SUPERNET = "teacher", "supernet"


def pieces(study: Study, device: str) -> list[Piece]:
    """All there is to train and choose, the most wanted first: what was found beside the dense."""
    start = (study, device)
    found = [Piece(TEACHER, (), work.teacher, start), Piece(SUPERNET, (), work.supernet, start)]
    ours = [each for each in study.names() if each[1] == "found"]
    rivals = [each for each in study.names() if each[1] != "found"]
    for group, beside in ((ours, (DENSE,)), (rivals, ())):
        for label, method, speedup in group:
            args = (*start, method, speedup)
            found.append(Piece(label, METHODS[method], work.choice, args))
        nets = (*beside, *(label for label, _, _ in group))
        for seed, label in itertools.product(range(study.spec.train.seeds), nets):
            needs = (TEACHER,) if label == DENSE else (TEACHER, label)
            found.append(Piece(f"{label} seed {seed}", needs, work.net, (*start, label, seed)))
    return found


def profile(study: Study) -> None:
    """Measures the table and finds its right edges."""
    from service import pipeline

    pipeline.run(study.spec, study.folder / "job", until="profile")


def train(study: Study, given: argparse.Namespace) -> None:
    """Everything that needs images."""
    images.pack(study)
    rows = study.folder / ROWS
    work_off(pieces(study, given.device), rows, workers=given.workers, minutes=given.minutes)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.outcome",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("step", choices=("profile", "train", "measure", "report"))
    parser.add_argument("spec", type=Path, help="a YAML file of this folder")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=Path, help="folder of the data set, where it needs one")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=1e6, help="end after so long")
    given = parser.parse_args()
    study = Study.of(given.spec, given.folder, given.images)
    if given.step == "train" and study.spec.data.name == "imagefolder" and given.images is None:
        parser.error("this data set needs --images FOLDER, with train/ and val/ in it")
    if given.step == "profile":
        profile(study)
    elif given.step == "train":
        train(study, given)
    elif given.step == "measure":
        from benchmarks.outcome.measuring import measure

        measure(study, study.folder / ROWS)
    else:
        from benchmarks.outcome.report import report

        report(study, study.folder / ROWS)


if __name__ == "__main__":
    main()
