"""SGD with Nesterov momentum and averaged weights, and their state as named tensors.

Knows nothing of data, losses or files.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from training.errors import DivergedError
from training.recipe import Optimisation

Tensors = tuple[Tensor, ...] | list[Tensor]


class Optimiser:
    """Updates a model by its gradients, and keeps the average of its weights if asked.

    Weight decay applies to weights of convolutions and linear layers only (He et al. 2019, "Bag
    of Tricks", 3.1).
    """

    def __init__(self, model: nn.Module, recipe: Optimisation) -> None:
        self._model, self._recipe = model, recipe
        decayed = [p for p in model.parameters() if p.ndim > 1]
        plain = [p for p in model.parameters() if p.ndim <= 1]
        self._sgd = torch.optim.SGD(
            [
                {"params": decayed, "weight_decay": recipe.weight_decay},
                {"params": plain, "weight_decay": 0.0},
            ],
            lr=recipe.lr,
            momentum=recipe.momentum,
            nesterov=recipe.momentum > 0,
        )
        self._average = (
            AveragedModel(model, multi_avg_fn=self._blend, use_buffers=True) if recipe.ema else None
        )

    @property
    def averaged(self) -> nn.Module:
        """The model whose weights count: the average if there is one, else the model itself."""
        return self._model if self._average is None else self._average.module

    def clear(self) -> None:
        """Drops all gradients."""
        self._sgd.zero_grad(set_to_none=True)

    def step(self, lr: float) -> None:
        """One update at learning rate `lr`."""
        if self._recipe.clip_norm:
            nn.utils.clip_grad_norm_(self._model.parameters(), self._recipe.clip_norm)
        for group in self._sgd.param_groups:
            group["lr"] = lr
        self._sgd.step()
        if self._average is not None:
            self._average.update_parameters(self._model)

    def require_finite(self) -> None:
        """Raises DivergedError if a weight or buffer is NaN or infinite."""
        for name, tensor in self._model.state_dict().items():
            if not bool(torch.isfinite(tensor).all()):
                raise DivergedError(f"{name} became NaN or infinite; lower lr, or set clip_norm")

    def state(self) -> dict[str, Tensor]:
        """Everything that decides the next update, by name."""
        tensors = {f"model.{key}": value for key, value in self._model.state_dict().items()}
        if self._average is not None:
            average = self._average.state_dict()
            tensors |= {f"average.{key}": value for key, value in average.items()}
        for index, parameter in enumerate(self._parameters()):
            buffer = self._sgd.state[parameter].get("momentum_buffer")
            if buffer is not None:
                tensors[f"momentum.{index}"] = buffer
        return tensors

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of `state`, for a model of the same shapes."""
        self._model.load_state_dict(_below("model.", tensors))
        if self._average is not None:
            self._average.load_state_dict(_below("average.", tensors))
        momenta = _below("momentum.", tensors)
        for index, parameter in enumerate(self._parameters()):
            if (saved := momenta.get(str(index))) is not None:
                # The memory layout of the parameter, for additions in the very same order.
                buffer = torch.empty_like(parameter, requires_grad=False).copy_(saved)
                self._sgd.state[parameter]["momentum_buffer"] = buffer

    def _parameters(self) -> list[nn.Parameter]:
        return [p for group in self._sgd.param_groups for p in group["params"]]

    def _blend(self, averages: Tensors, values: Tensors, updates: Tensor | int) -> None:
        # A young average follows closely, else a short run would keep its random start.
        n = int(updates)
        decay = min(self._recipe.ema, (1 + n) / (10 + n))
        blend = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        blend(averages, values, updates)


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)}
