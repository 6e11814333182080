"""Weights on disk: safetensors, written whole or not at all, read strictly."""

from __future__ import annotations

import os
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn


class WeightsError(ValueError):
    """A weights file that cannot be read or is of another network."""


def save_weights(module: nn.Module, path: Path) -> None:
    """Writes the module's state dict (weights and buffers) as safetensors."""
    temporary = path.with_name(path.name + ".tmp")
    state = {name: tensor.cpu().contiguous() for name, tensor in module.state_dict().items()}
    save_file(state, temporary)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def load_weights(module: nn.Module, path: Path) -> None:
    """Reads what `save_weights` wrote into a module of the same names and shapes.

    Raises:
        WeightsError: unreadable, or not this network's.
    """
    try:
        module.load_state_dict(load_file(path), strict=True)
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"{path}: cannot be read: {error}") from None
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(f"{path}: weights of another network: {reason}") from None
