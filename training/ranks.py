"""`Ranks`: several processes that train one model, each on its parts of every batch.

A process started by torchrun joins the others; any other process is alone, and then nothing here
communicates. Gradients, batch-norm statistics and losses of a step travel as one tensor. Gradients
are summed by hand, not by `DistributedDataParallel`: a step of supernet training has several
backward passes, and leaves parameters without a gradient.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor, distributed

Value = TypeVar("Value")


class Ranks:
    """This process among those that train together.

    Attributes:
        rank: of this process, from 0; rank 0 alone judges, saves and speaks.
        count: processes in all.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        if self.count > 1 and not distributed.is_initialized():
            distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        self.rank = distributed.get_rank() if self.count > 1 else 0

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Replaces each tensor by its sum over all processes; all are floating point."""
        if self.count == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1).float() for tensor in tensors])
        distributed.all_reduce(flat)
        start = 0
        for tensor in tensors:
            tensor.copy_(flat[start : start + tensor.numel()].view(tensor.shape))
            start += tensor.numel()

    def any(self, here: bool) -> bool:
        """Whether it is true in any process."""
        if self.count == 1:
            return here
        flag = torch.tensor([float(here)], device=self.device)
        distributed.all_reduce(flag, distributed.ReduceOp.MAX)
        return bool(flag.item())

    def shared(self, value: Value) -> Value:
        """Rank 0's value, in every process."""
        if self.count == 1:
            return value
        box = [value]
        distributed.broadcast_object_list(box, src=0, device=self.device)
        return box[0]

    def wait(self) -> None:
        """Until every process is here."""
        if self.count > 1:
            distributed.barrier()
