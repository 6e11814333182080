"""`prune`: a network of fewer channels with the weights of those it keeps, to be fine-tuned."""

from __future__ import annotations

import numpy as np
import torch

from supernet.arithmetic import encode
from supernet.config import ChannelConfig, ConfigError
from supernet.layers import convolutions
from supernet.resnet import ResNet
from training.criterion import Importance


@torch.no_grad()
def prune(net: ResNet, config: ChannelConfig, importance: Importance) -> ResNet:
    """The network of `config` with copies of the most important channels' weights.

    Kept channels keep their order, batch norm its running statistics, and the two inner widths of
    a bottleneck choose their channels apart. It is in evaluation mode.

    Args:
        importance: of the channels of `net`, by column.

    Raises:
        ConfigError: the config is wider than `net`, or keeps a block that `net` lacks.
    """
    _require_inside(net, config)
    pruned = ResNet(net.network, config)
    pruned.to(net.fc.weight.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    widths = encode([config])[0]
    kept = {
        column: torch.from_numpy(np.sort(np.argsort(-scores, kind="stable")[: widths[column]]))
        for column, scores in importance.items()
    }
    kept[-1] = torch.arange(net.network.channels)
    old, new = net.layers(), pruned.layers()
    for shape in convolutions(net.network, config):
        (source, norm), (target, bare) = (layers[shape.block, shape.part] for layers in (old, new))
        rows = kept[shape.column]
        target.weight.copy_(source.weight[rows][:, kept[shape.reads]])
        for name, tensor in bare.state_dict().items():
            whole = norm.state_dict()[name]
            tensor.copy_(whole[rows] if whole.ndim else whole)
    pruned.fc.weight.copy_(net.fc.weight[:, kept[len(config.stages)]])
    pruned.fc.bias.copy_(net.fc.bias)
    return pruned.eval()


def _require_inside(net: ResNet, config: ChannelConfig) -> None:
    net.network.check(config)
    widths, whole = encode([config])[0], encode([net.config])[0]
    if (widths > whole).any():
        column = int((widths > whole).argmax())
        raise ConfigError(
            f"column {column} must be <= {whole[column]}, as the trained network has it, but got "
            f"{widths[column]}"
        )
