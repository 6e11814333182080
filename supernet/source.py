"""`WeightSource`: what holds weights for every config of a space; and the kinds there are.

Training, scoring and the search know this interface alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from supernet.config import ChannelConfig
from supernet.kinds import KINDS, Kind
from supernet.resnet import ResNet
from supernet.space import SearchSpace


class WeightSource(nn.Module, ABC):
    """Weights for every config of `space`; the config is an argument, never state."""

    def __init__(self, space: SearchSpace) -> None:
        super().__init__()
        self.space = space

    @abstractmethod
    def forward(self, x: Tensor, config: ChannelConfig) -> Tensor:
        """Logits [n, classes] of `config` for images [n, channels, resolution, resolution].

        Raises:
            ConfigError: no config that this source has weights for.
        """

    @abstractmethod
    def extract(self, config: ChannelConfig) -> ResNet:
        """A plain network with copies of the weights and running statistics of `config`.

        In evaluation mode its outputs equal those of `forward`. It has the mode of the source.

        Raises:
            ConfigError: see `forward`.
        """


def build(kind: Kind, space: SearchSpace) -> WeightSource:
    """An untrained source, drawn with torch's random state.

    Raises:
        ValueError: no such kind.
    """
    if kind == "sliced":
        from supernet.sliced import SlicedSupernet

        return SlicedSupernet(space)
    if kind == "pruningnet":
        from supernet.pruningnet import PruningNet

        return PruningNet(space)
    raise ValueError(f"kind must be one of {', '.join(KINDS)}, but got {kind!r}")
