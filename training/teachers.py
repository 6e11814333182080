"""Teachers from files: our own weights, torchvision's ResNet50/101/152, or a timm model.

The widths and depths of a ResNet are read off its weights. Nothing is downloaded, and no file is
loaded in a way that could run code.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from supernet.config import ChannelConfig, ConfigError
from supernet.network import NetworkSpec
from supernet.resnet import ResNet

State = dict[str, Tensor]


class TeacherError(ValueError):
    """A file that holds no teacher for this network; the message says why."""


def teacher(path: Path, network: NetworkSpec, *, timm: str | None = None) -> nn.Module:
    """The teacher in evaluation mode.

    Args:
        path: .safetensors, or a .pth/.pt state dict.
        network: what its images and classes must be; its stem too.
        timm: name of a timm model that the weights are for; a ResNet of ours if not given.

    Raises:
        TeacherError: unreadable, of another architecture, or of other classes.
    """
    state = _read(path)
    try:
        net = _timm(timm, network) if timm else _resnet(state, network)
        net.load_state_dict(state, strict=True)
    except (KeyError, IndexError, ConfigError) as error:
        raise TeacherError(f"{path}: not the weights of a ResNet: {error}") from None
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise TeacherError(f"{path}: weights of another network: {reason}") from None
    return net.eval()


def _read(path: Path) -> State:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, UnpicklingError, RuntimeError, EOFError) as error:
        reason = " ".join(str(error).split())[:200]
        raise TeacherError(f"{path}: cannot be read as weights: {reason}") from None
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    if not isinstance(found, dict) or not all(isinstance(v, Tensor) for v in found.values()):
        raise TeacherError(f"{path}: holds no state dict")
    return {str(name).removeprefix("module."): tensor for name, tensor in found.items()}


def _resnet(state: State, network: NetworkSpec) -> ResNet:
    blocks = {m.groups() for name in state if (m := re.match(r"layer(\d+)\.(\d+)\.conv1", name))}
    depths = Counter(int(stage) for stage, _ in blocks)
    spec = NetworkSpec(
        depths=tuple(depths[stage] for stage in sorted(depths)),
        stem=network.stem,
        resolution=network.resolution,
        channels=network.channels,
        classes=network.classes,
    )
    places = [f"layer{stage + 1}.{index}" for stage, index in spec.positions()]
    config = ChannelConfig(
        len(state["conv1.weight"]),
        tuple(len(state[f"layer{n + 1}.0.conv3.weight"]) for n in range(len(spec.depths))),
        tuple((len(state[f"{p}.conv1.weight"]), len(state[f"{p}.conv2.weight"])) for p in places),
    )
    return ResNet(spec, config)


def _timm(name: str, network: NetworkSpec) -> nn.Module:
    try:
        import timm
    except ImportError:
        raise TeacherError("timm is missing: pip install 'stairprune[timm]'") from None
    if not timm.is_model(name):
        close = ", ".join(timm.list_models(f"{name[:6]}*")[:5]) or "see timm.list_models()"
        raise TeacherError(f"timm has no model {name!r:.60}; near it: {close}")
    found: nn.Module = timm.create_model(
        name, pretrained=False, num_classes=network.classes, in_chans=network.channels
    )
    return found
