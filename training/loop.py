"""The training loop that plain networks and supernets share: steps, epochs, exact resume.

On CPU, with the same number of threads, a run that is killed at any step and called again ends
with the same bits as an undisturbed one. What a step learns from, and how a model is judged, are
the caller's; see `training.scratch` and `training.supernet_loop`.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from training.checkpoint import (
    Checkpoint,
    CheckpointError,
    load_latest,
    read_pair,
    remove_all,
    save,
    write_pair,
)
from training.errors import DivergedError, TrainingStopped
from training.files import canonical, sha256
from training.gradients import Gradients
from training.optimiser import Optimiser
from training.ranks import Ranks
from training.recipe import decides, learning_rate
from training.seeds import derived, generator
from training.task import Control, Progress, Result, Row, Task

RESULT = "weights"


def run(task: Task, folder: Path, progress: Progress, control: Control) -> Result:
    """Trains until the recipe is done, from the newest checkpoint in `folder` if there is one.

    The model ends with the resulting weights, in evaluation mode. A finished folder returns at
    once. The global random state of torch is left as it was.

    Raises:
        CheckpointError: `folder` holds another run.
        DivergedError: NaN or infinity.
        TrainingStopped: `control.stop` said so.
    """
    identity = _identity(task)
    if (done := _finished(task, folder, identity)) is not None:
        return done
    with torch.random.fork_rng():
        return _Run(task, folder, progress, control, identity).finish()


class _Run:
    """The state of a run and its transitions: step, evaluate, save."""

    def __init__(
        self,
        task: Task,
        folder: Path,
        progress: Progress,
        control: Control,
        identity: dict[str, Any],
    ) -> None:
        self.task, self.folder, self.identity = task, folder, identity
        self.progress, self.control = progress, control
        task.model.to(memory_format=torch.channels_last)
        self.device = next(task.model.parameters()).device
        self.optimiser = Optimiser(task.model, task.recipe)
        self.pool = _pool(task)
        self.epoch_steps = max(1, len(self.pool) // task.recipe.batch)
        self.total = self.epoch_steps * task.recipe.epochs
        self.ranks = Ranks(self.device)
        self.gradients = Gradients(task, self.ranks, self.device)
        self.step, self.loss_sum, self.lr = 0, 0.0, 0.0
        self.history: list[Row] = []
        self.order = torch.empty(0, dtype=torch.int64)
        self.order_of = -1
        self.clock = _Clock(control)
        torch.manual_seed(derived("torch", task.seed))
        if (checkpoint := load_latest(folder)) is not None:
            _require(identity, checkpoint.state["identity"], folder)
            self._restore(checkpoint)
        self.ranks.wait()  # nobody saves before everybody has read

    def finish(self) -> Result:
        # What comes next depends on the state alone, so it does not matter where a run was cut.
        while len(self.history) < self.task.recipe.epochs:
            if self.ranks.any(self.control.stop()):
                self._save()
                raise TrainingStopped(f"stopped at step {self.step} of {self.total}, after saving")
            if self.step < self.epoch_steps * (len(self.history) + 1):
                self._train_step()
            else:
                self._end_epoch()
            if self.clock.save_due(self.step):
                self._save()
        return self._result()

    def _train_step(self) -> None:
        task = self.task
        epoch, index = divmod(self.step, self.epoch_steps)
        if epoch != self.order_of:
            shuffle = generator("order", task.seed, epoch)
            self.order = self.pool[torch.randperm(len(self.pool), generator=shuffle)]
            self.order_of = epoch
        chosen = self.order[index * task.recipe.batch : (index + 1) * task.recipe.batch]
        self.optimiser.clear()
        loss = self.gradients.add(chosen, self.step, (epoch, index))
        if not math.isfinite(loss):
            raise DivergedError(
                f"the loss became {loss} at step {self.step} of {self.total} "
                f"(lr {self.lr:g}); lower lr, or set clip_norm"
            )
        self.lr = learning_rate(task.recipe, self.step, self.epoch_steps)
        self.optimiser.step(self.lr)
        self.step += 1
        self.loss_sum += loss
        note = f"epoch {epoch + 1}/{task.recipe.epochs}, loss {loss:.3f}"
        self._say(f"{note}, {self.clock.rate(len(chosen))}")
        self._chart(loss=loss, lr=self.lr, images_per_s=self.clock.speed)

    def _end_epoch(self) -> None:
        self.optimiser.require_finite()
        epoch = len(self.history) + 1
        row = {"epoch": epoch, "loss": self.loss_sum / self.epoch_steps, "lr": self.lr}
        if self.ranks.leads:
            row |= self.task.evaluate(self.optimiser.averaged)
        row = self.ranks.shared(row)
        self.history.append(row)
        self.loss_sum = 0.0
        if epoch < self.task.recipe.epochs:
            self.task.between_epochs(self.task.model)
        self._say(", ".join(f"{name} {value:.4g}" for name, value in row.items()))
        self._chart(**{name: value for name, value in row.items() if name.startswith("val_")})

    def _say(self, note: str) -> None:
        if self.ranks.leads:
            self.progress(self.step, self.total, note)

    def _chart(self, **values: float) -> None:
        if self.ranks.leads and self.control.chart is not None:
            self.control.chart(self.step, values)

    def _save(self) -> None:
        self.optimiser.require_finite()
        if not self.ranks.leads:
            return
        state = {
            "identity": self.identity,
            "history": self.history,
            "loss_sum": self.loss_sum,
            "lr": self.lr,
            "chunks": self.gradients.chunks,
            "rng": torch.get_rng_state().numpy().tobytes().hex(),
        }
        tensors = self.optimiser.state()
        save(self.folder, Checkpoint(step=self.step, tensors=tensors, state=state))

    def _restore(self, checkpoint: Checkpoint) -> None:
        state = checkpoint.state
        self.optimiser.restore(checkpoint.tensors)
        self.step, self.loss_sum = checkpoint.step, state["loss_sum"]
        self.lr, self.gradients.chunks = state["lr"], state["chunks"]
        self.history = list(state["history"])
        torch.set_rng_state(torch.frombuffer(bytearray.fromhex(state["rng"]), dtype=torch.uint8))

    def _result(self) -> Result:
        self.optimiser.require_finite()
        weights = self.optimiser.averaged.state_dict()
        path = self.folder / f"{RESULT}.safetensors"
        if self.ranks.leads:
            state = {"identity": self.identity, "history": self.history}
            self.folder.mkdir(parents=True, exist_ok=True)
            path = write_pair(self.folder, RESULT, weights, state)
            remove_all(self.folder)
        self.ranks.wait()  # the file is there when anybody returns
        self.task.model.load_state_dict(weights)
        self.task.model.eval()
        return Result(history=self.history, weights=path)


@dataclass(slots=True)
class _Clock:
    """When to save, and how fast it goes; wall-clock time stays in here."""

    control: Control
    saved: float = field(default_factory=time.monotonic)
    began: float = field(default_factory=time.monotonic)
    images: int = 0

    def save_due(self, step: int) -> bool:
        every = self.control.save_every_steps
        due = every is not None and step % every == 0
        if due or time.monotonic() - self.saved >= self.control.save_every_seconds:
            self.saved = time.monotonic()
            return True
        return False

    def rate(self, images: int) -> str:
        self.images += images
        return f"{self.speed:,.0f} images/s"

    @property
    def speed(self) -> float:
        return self.images / max(time.monotonic() - self.began, 1e-9)


def _pool(task: Task) -> Tensor:
    count = len(task.images)
    if task.limit_images is None or task.limit_images >= count:
        return torch.arange(count)
    # The same sample for every seed, so that seeds differ by the noise of training alone.
    return torch.randperm(count, generator=generator("sample"))[: task.limit_images]


def _identity(task: Task) -> dict[str, Any]:
    shapes = {name: list(tensor.shape) for name, tensor in task.model.state_dict().items()}
    return {
        **task.identity,
        "recipe": decides(task.recipe),
        "seed": task.seed,
        "images": min(task.limit_images or len(task.images), len(task.images)),
        "network": sha256(canonical(shapes)),
    }


def _finished(task: Task, folder: Path, identity: dict[str, Any]) -> Result | None:
    if (pair := read_pair(folder, RESULT)) is None:
        return None
    tensors, state = pair
    _require(identity, state["identity"], folder)
    task.model.to(memory_format=torch.channels_last)
    task.model.load_state_dict(tensors)
    task.model.eval()
    return Result(history=state["history"], weights=folder / f"{RESULT}.safetensors")


def _require(wanted: dict[str, Any], found: dict[str, Any], folder: Path) -> None:
    if canonical(wanted) != canonical(found):
        names = sorted(wanted.keys() | found.keys())
        wrong = [name for name in names if wanted.get(name) != found.get(name)]
        raise CheckpointError(
            f"{folder} holds a training with another {', '.join(wrong)}; use another folder"
        )
