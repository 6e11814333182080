"""`Captured`: a step's loss and gradients as one CUDA graph.

The kernels of small networks take less time than it takes to launch them one by one: a graph
launches them together. It computes what the step computes, with the same kernels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.task import Losses

WARM_UP = 3
"""Steps before the capture, in which cuDNN and the allocator settle."""


class Captured:
    """The loss of a batch and its gradients; every batch has the shape of the first.

    The graph holds the addresses of the parameters and buffers, so that whoever changes them has to
    do it in place.
    """

    def __init__(self, model: nn.Module, losses: Losses, images: Tensor, labels: Tensor) -> None:
        """Captures; leaves the model as it was, without gradients.

        Args:
            losses: gives a single loss, by the same computation in every step.
            images, labels: a batch on the GPU.

        Raises:
            torch.OutOfMemoryError: a step does not fit.
        """
        self._images, self._labels = images.clone(), labels.clone()
        self._parameters = [p for p in model.parameters() if p.requires_grad]
        kept = [buffer.clone() for buffer in model.buffers()]
        try:
            self._capture(losses)
        finally:
            self._clear()
            for buffer, value in zip(model.buffers(), kept, strict=True):
                buffer.copy_(value)  # Warming up counted in batch norm's running statistics.

    def _capture(self, losses: Losses) -> None:
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                self._backward(losses)
        torch.cuda.current_stream().wait_stream(aside)
        self._graph = torch.cuda.CUDAGraph()
        self._clear()  # so that the capture makes gradients of its own, written anew by each replay
        with torch.cuda.graph(self._graph):
            self._loss = self._backward(losses)
        self._gradients = [p.grad for p in self._parameters]

    def __call__(self, images: Tensor, labels: Tensor) -> float:
        """The loss of a batch; leaves its gradients in `.grad`, in place of any that were there."""
        self._images.copy_(images)
        self._labels.copy_(labels)
        self._graph.replay()
        for parameter, gradient in zip(self._parameters, self._gradients, strict=True):
            parameter.grad = gradient
        return float(self._loss.item())

    def _backward(self, losses: Losses) -> Tensor:
        self._clear()
        (loss,) = losses(self._images, self._labels, 0)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach()

    def _clear(self) -> None:
        for parameter in self._parameters:
            parameter.grad = None
