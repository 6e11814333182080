"""`Hinted`: a student that also learns to resemble its teacher's maps at the end of every stage.

FitNets (Romero et al. 2015, section 2.2): a regressor makes the student's map as wide as the
teacher's, and the mean squared difference is added to the loss. The regressors are 1x1
convolutions, learnt along with the student and dropped afterwards.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

Maps = dict[str, Tensor]


class HintError(ValueError):
    """A teacher whose stages are not the student's."""


class Hinted(nn.Module):
    """A network with a regressor per stage; as a module it computes what the network does.

    Attributes:
        net: the student, the only part that is kept.
    """

    def __init__(self, net: nn.Module, teacher: nn.Module, images: Tensor) -> None:
        """Args:
        images: [n, channels, side, side]; tell how wide the maps are.

        Raises:
            HintError: the two have not the same stages.
        """
        super().__init__()
        self.net = net
        with torch.no_grad():
            own, theirs = (features(of.eval(), images)[1] for of in (net, teacher))
        if not own or own.keys() != theirs.keys():
            raise HintError(
                f"hints need a teacher with the stages {', '.join(own) or 'layer1, ...'}, "
                f"but it has {', '.join(theirs) or 'none'}"
            )
        self.regressors = nn.ModuleDict(
            {name: nn.Conv2d(own[name].shape[1], theirs[name].shape[1], 1) for name in own}
        )
        self.to(images.device)

    def forward(self, images: Tensor) -> Tensor:
        """As the network."""
        logits: Tensor = self.net(images)
        return logits

    def loss(self, own: Maps, theirs: Maps) -> Tensor:
        """Mean over stages of the mean squared difference, in units of the teacher's variance."""
        total = torch.zeros((), device=next(iter(own.values())).device)
        for name, regressor in self.regressors.items():
            guide = theirs[name].detach().float()
            guess = regressor(own[name]).float()
            if guess.shape[2:] != guide.shape[2:]:
                guess = functional.adaptive_avg_pool2d(guess, (guide.shape[2], guide.shape[3]))
            total = total + functional.mse_loss(guess, guide) / guide.var().clamp_min(1e-6)
        return total / len(self.regressors)


def features(net: nn.Module, images: Tensor) -> tuple[Tensor, Maps]:
    """Logits, and the maps that leave `layer1`, `layer2`, ... of a ResNet."""
    maps: Maps = {}

    names = {module: name for name, module in net.named_children() if name.startswith("layer")}

    def keep(module: nn.Module, given: object, output: Tensor) -> None:
        maps[names[module]] = output

    hooks = [module.register_forward_hook(keep) for module in names]
    try:
        return net(images), maps
    finally:
        for hook in hooks:
            hook.remove()
