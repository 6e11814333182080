"""`NetworkSpec`: a ResNet-50/101/152-type topology, and the shapes of a config."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from supernet.config import MAX_WIDTH, MOST_BLOCKS, ChannelConfig, ConfigError, brief
from supernet.shapes import MOST, STEM_KINDS, BlockShape, HeadShape, Shape, StemKind, StemShape

DEPTHS = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3), "resnet152": (3, 8, 36, 3)}


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSpec:
    """A ResNet v1.5 with bottlenecks (stride in the 3x3; He et al. 2016, torchvision's variant).

    Attributes:
        depths: bottlenecks per stage.
        width: multiplier of the base widths 64 (stem, inner) and 256 (output) of stage 1.
        stem: stem kind.
        resolution: side of the square input image in pixels.
        channels: channels of the input image.
        classes: outputs of the fully connected layer.
    """

    depths: tuple[int, ...] = DEPTHS["resnet50"]
    width: float = 1.0
    stem: StemKind = "7x7/2+maxpool"
    resolution: int = 224
    channels: int = 3
    classes: int = 1000

    def __post_init__(self) -> None:
        if not self.depths or any(depth < 1 for depth in self.depths):
            raise ConfigError(f"depths must be >= 1 per stage, but got {brief(list(self.depths))}")
        if (total := sum(self.depths)) > MOST_BLOCKS:
            raise ConfigError(
                f"a network has at most {MOST_BLOCKS} bottlenecks, but got {brief(total)}"
            )
        if self.stem not in STEM_KINDS:
            raise ConfigError(
                f"stem must be one of {', '.join(STEM_KINDS)}, but got {brief(self.stem)}"
            )
        if not 0 < self.width <= 16:
            raise ConfigError(f"0 < width <= 16 must hold, but got {self.width}")
        for name in ("resolution", "channels", "classes"):
            if not 1 <= (value := getattr(self, name)) <= MOST:
                raise ConfigError(f"{name} must be >= 1 and <= {MOST}, but got {brief(value)}")
        if self.base << (len(self.depths) + 1) > MAX_WIDTH:
            raise ConfigError(
                f"{len(self.depths)} stages of width {self.width} end in more than {MAX_WIDTH} "
                "channels; each stage doubles them"
            )

    @property
    def base(self) -> int:
        """Inner width of stage 1 in the dense network; the stem has it too."""
        return max(1, round(64 * self.width))

    def dense(self) -> ChannelConfig:
        """The unpruned config."""
        inner = tuple(
            (self.base << s,) * 2 for s, depth in enumerate(self.depths) for _ in range(depth)
        )
        stages = tuple(4 * self.base << s for s in range(len(self.depths)))
        return ChannelConfig(self.base, stages, inner)

    def uniform(self, ratio: float, divisor: int = 1) -> ChannelConfig:
        """Every width times `ratio`, rounded to a multiple of `divisor`, at least one of them."""

        def scaled(width: int) -> int:
            return min(width, max(divisor, round(width * ratio / divisor) * divisor))

        dense = self.dense()
        return ChannelConfig(
            scaled(dense.stem),
            tuple(scaled(w) for w in dense.stages),
            tuple((scaled(a), scaled(b)) for a, b in dense.inner),
        )

    def positions(self) -> Iterator[tuple[int, int]]:
        """(stage, index in stage) of every bottleneck, in order, both from 0."""
        for stage, depth in enumerate(self.depths):
            yield from ((stage, index) for index in range(depth))

    def check(self, config: ChannelConfig) -> None:
        """Raises ConfigError unless `config` has this network's depths and legal removals."""
        if len(config.stages) != len(self.depths) or len(config.inner) != sum(self.depths):
            raise ConfigError(
                f"a config of depths {brief(list(self.depths))} has {len(self.depths)} stages and "
                f"{sum(self.depths)} inner pairs, but got {len(config.stages)} and "
                f"{len(config.inner)}"
            )
        for number, (_, index) in enumerate(self.positions()):
            if index == 0 and config.inner[number][0] == 0:
                raise ConfigError(
                    f"inner[{number}] is the first block of its stage and cannot be removed: "
                    "its shortcut is a projection"
                )

    def sizes(self) -> tuple[int, ...]:
        """Side of the map that enters each stage, and of the one that leaves the last."""
        sizes = [StemShape(self.stem, self.resolution, self.channels, 1).out_size]
        for stage in range(len(self.depths)):
            sizes.append(sizes[-1] if stage == 0 else (sizes[-1] - 1) // 2 + 1)
        return tuple(sizes)

    def shapes(self, config: ChannelConfig) -> list[Shape]:
        """Stem, bottlenecks and head of `config`, in order; removed blocks have no shape.

        Raises:
            ConfigError: see `check`.
        """
        self.check(config)
        sizes = self.sizes()
        into = dict(enumerate(pairwise((config.stem, *config.stages))))
        result: list[Shape] = [StemShape(self.stem, self.resolution, self.channels, config.stem)]
        for (stage, index), (w1, w2) in zip(self.positions(), config.inner, strict=True):
            cin, cout = into[stage]
            if index == 0:
                stride = 1 if stage == 0 else 2
                result.append(BlockShape(sizes[stage], stride, "projection", cin, w1, w2, cout))
            elif w1:
                result.append(BlockShape(sizes[stage + 1], 1, "identity", cout, w1, w2, cout))
        result.append(HeadShape(sizes[-1], config.stages[-1], self.classes))
        return result
