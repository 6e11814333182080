"""Accuracy estimates of configs: inherited weights, recalibrated batch norm, held-out images.

The images are the caller's, in a fixed order: shuffling them changes the statistics and with them
the score. Nothing here knows what the images show or where they come from.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from supernet.config import ChannelConfig
from supernet.resnet import ResNet
from supernet.scores import Scores
from supernet.source import WeightSource


class EstimateError(ValueError):
    """An estimate that would mean nothing: no images, or a network that yields NaN."""


@torch.no_grad()
def recalibrate(net: ResNet, batches: Iterable[Tensor]) -> None:
    """Replaces the running statistics by those of `batches` (Yu and Huang 2019, section 3.4).

    Every batch weighs the same, so batches should have one size. `net` ends in evaluation mode.

    Args:
        batches: images [n, channels, resolution, resolution] under evaluation transforms.

    Raises:
        EstimateError: no batches.
    """
    net.eval()
    norms = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # Cumulative average: no batch is favoured for coming last.
        norm.train()
    seen = 0
    try:
        for images in batches:
            net(_placed(net, images))
            seen += 1
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        net.eval()
    if not seen:
        raise EstimateError("recalibration needs at least one batch of images, but got none")


@torch.no_grad()
def accuracy(net: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> float:
    """Top-1 accuracy in evaluation mode, as a fraction; the mode of `net` is kept.

    Args:
        batches: images [n, channels, resolution, resolution] and labels [n].

    Raises:
        EstimateError: no images, or logits that are not finite.
    """
    was_training = net.training
    net.eval()
    correct = total = 0
    try:
        for images, labels in batches:
            logits = net(_placed(net, images))
            if not bool(torch.isfinite(logits).all()):
                raise EstimateError("accuracy needs finite logits, but the network yields NaN/Inf")
            correct += int((logits.argmax(1) == labels.to(logits.device)).sum())
            total += len(labels)
    finally:
        net.train(was_training)
    if not total:
        raise EstimateError("accuracy needs at least one image, but got none")
    return correct / total


class Estimator:
    """Estimates the accuracy of configs from the weights of a trained supernet.

    The same config always gets the identical number: the images and their order are fixed, and
    estimates are remembered, on disk if asked. The supernet must not be trained further while an
    estimator uses it.

    Attributes:
        images_hash: SHA-256 of the recalibration images, in their batches and order.
    """

    def __init__(
        self,
        supernet: WeightSource,
        recalibration: Sequence[Tensor],
        validation: Sequence[tuple[Tensor, Tensor]],
        scores: Scores | None = None,
    ) -> None:
        """Args are as for `recalibrate` and `accuracy`; both sets are read once per new config.

        Args:
            scores: where estimates are kept beyond this object's life.
        """
        self.supernet = supernet
        self.recalibration = recalibration
        self.validation = validation
        self.scores = scores
        self.images_hash = _digest((str(i), batch) for i, batch in enumerate(recalibration))
        self._known: dict[ChannelConfig, float] = {}
        self._weights = weights_hash(supernet)
        self._judged = _digest((str(i), t) for i, pair in enumerate(validation) for t in pair)

    def __call__(self, config: ChannelConfig) -> float:
        """Estimated top-1 accuracy, a fraction.

        Raises:
            ConfigError: the supernet does not hold this config.
            EstimateError: see `recalibrate` and `accuracy`.
            ScoresError: the file of scores cannot be used.
        """
        if config not in self.known([config]):
            net = self.supernet.extract(config)
            recalibrate(net, self.recalibration)
            self.keep(config, accuracy(net, self.validation))
        return self._known[config]

    def keep(self, config: ChannelConfig, estimate: float) -> None:
        """Remembers an estimate that was made here, or by another process in the same way."""
        self._known[config] = estimate
        if self.scores is not None:
            self.scores.keep(self._name(config), estimate)

    def known(self, configs: Sequence[ChannelConfig]) -> dict[ChannelConfig, float]:
        """The estimates of those that were scored before, by this or by any other process."""
        names = {self._name(c): c for c in configs if c not in self._known}
        if self.scores is not None and names:
            found = self.scores.known(list(names))
            self._known |= {names[name]: score for name, score in found.items()}
        return {config: self._known[config] for config in configs if config in self._known}

    def decides(self) -> list[object]:
        """What decides scores beside the config. Threads do: sums are split between them."""
        device = next(self.supernet.parameters()).device
        where = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
        how = [torch.__version__, where, torch.get_num_threads()]
        return [self._weights, self.images_hash, self._judged, how]

    def _name(self, config: ChannelConfig) -> str:
        weights, images, judged, how = self.decides()
        decides = [weights, config.to_json(), images, judged, how]
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


def weights_hash(module: nn.Module) -> str:
    """SHA-256 of all weights and buffers by name; free of device and memory layout."""
    return _digest(sorted(module.state_dict().items()))


def _digest(tensors: Iterable[tuple[str, Tensor]]) -> str:
    digest = hashlib.sha256()
    for name, tensor in tensors:
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        plain = tensor.detach().cpu().contiguous().flatten()
        digest.update(plain.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _placed(net: nn.Module, images: Tensor) -> Tensor:
    device = next(net.parameters()).device
    return images.to(device=device, memory_format=torch.channels_last)
