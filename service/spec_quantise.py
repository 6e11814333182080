"""`QuantiseSpec`: the part of a job that turns its exported networks into eight bits."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from service.spec_part import Part, closed
from supernet.network import NetworkSpec
from training.recipe import Recipe


class QuantiseSpec(Part):
    """The exported networks in eight bits."""

    enabled: bool = True
    methods: tuple[Literal["max", "percentile", "entropy"], ...] = Field(
        default=("max", "percentile", "entropy"), min_length=1
    )
    """How maps are calibrated; the best is chosen on the search-validation images."""
    images: int = Field(default=512, ge=1)
    """Training images that calibrate."""
    percentile: float = Field(default=99.99, gt=50, le=100)
    form: Literal["auto", "uint8", "symmetric"] = "auto"
    """Maps with a zero point, as CPUs want them, or symmetric, as TensorRT does."""
    reduce_range: bool | None = None
    """Weights of 7 bits; where not set, if products of this CPU could overflow otherwise."""
    keep: tuple[str, ...] = ()
    """Layers that stay in floating point, as `conv1` or `layer4.0.downsample.0`."""
    finetune: Annotated[Recipe, closed(Recipe)] | None = None
    """Quantisation-aware training of the found networks, distilled from themselves in floating
    point; kept where it reaches more on the search-validation images."""
    sensitivity_images: int = Field(default=0, ge=0)
    """Images that tell what each layer of the best network loses alone; 0 for none."""


def layers(network: NetworkSpec) -> list[str]:
    """Names of the layers with weights of a network that lacks no block."""
    found = ["conv1"]
    for stage, index in network.positions():
        block = f"layer{stage + 1}.{index}"
        found += [f"{block}.{part}" for part in ("conv1", "conv2", "conv3")]
        found += [f"{block}.downsample.0"] if index == 0 else []
    return [*found, "fc"]
