"""Training curves: a `Control.chart` that writes TensorBoard event files (extra `tensorboard`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from training.errors import TrainingError
from training.task import Chart, Row


@contextmanager
def tensorboard(folder: Path) -> Iterator[Chart]:
    """A chart whose event files lie in `folder`; show them with `tensorboard --logdir FOLDER`.

    Raises:
        TrainingError: TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise TrainingError(
            "TensorBoard is not installed: pip install 'stairprune[tensorboard]'"
        ) from None
    writer = SummaryWriter(str(folder))

    def chart(step: int, values: Row) -> None:
        for name, value in values.items():
            writer.add_scalar(name, value, step)

    try:
        yield chart
    finally:
        writer.close()
