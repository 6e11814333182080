"""A bundle's network in torch, without any hub: `load("found-1.bundle.zip")(images)`."""

from __future__ import annotations

from pathlib import Path

import torch

from bundle.manifest import WEIGHTS, BundleError, brief
from bundle.reading import Bundle, opened
from supernet.arithmetic import count
from supernet.resnet import ResNet
from supernet.weights import WeightsError, load_weights


def load(path: str | Path) -> ResNet:
    """The trained network in evaluation mode; its state dict has torchvision's names.

    Raises:
        BundleError: the bundle breaks a rule, or its weights are not the network's.
    """
    with opened(Path(path)) as bundle:
        return network(bundle)


def network(bundle: Bundle) -> ResNet:
    """See `load`."""
    claims, weights = bundle.claims, bundle.folder / WEIGHTS
    params = count(claims.spec(), claims.widths())[1]
    # Before anything is built: a config of a few bytes may ask for more memory than there is.
    if not 4 * params <= weights.stat().st_size <= 8 * params + (1 << 20):
        raise BundleError(f"{bundle.source}: {WEIGHTS} cannot hold {params} params as float32")
    net = ResNet(claims.spec(), claims.widths())
    try:
        load_weights(net, weights)
    except WeightsError as error:
        raise BundleError(f"{bundle.source}: {WEIGHTS}: {brief(error)}") from None
    for name, tensor in net.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise BundleError(f"{bundle.source}: {WEIGHTS}: NaN or infinity in {name}")
    return net.eval()
