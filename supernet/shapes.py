"""Shapes of the measurable pieces of a network: stem, bottleneck, head.

A shape is the key of a latency-table row. Its `geometry` is the shape without its widths;
its `widths` are the rest, so `(geometry, widths)` says everything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import ClassVar, Literal, get_args

from supernet.config import ConfigError

StemKind = Literal["7x7/2+maxpool", "3x3/2", "3x3/1"]
Shortcut = Literal["identity", "projection"]
STEM_KINDS: tuple[StemKind, ...] = get_args(StemKind)
MOST = 1 << 20  # channels, pixels or classes; more is a damaged file


def strided(size: int, stride: int) -> int:
    """Side of the map after a padded convolution or pooling with `stride`."""
    return (size - 1) // stride + 1


@dataclass(frozen=True, slots=True, order=True)
class StemShape:
    """Stem: convolution, batch norm, ReLU, and the max-pool of the 7x7 kind.

    Attributes:
        size: side of the square input image.
    """

    axes: ClassVar[tuple[str, ...]] = ("cout",)
    kind: StemKind
    size: int
    channels: int
    cout: int

    @property
    def kernel(self) -> int:
        return 7 if self.kind == "7x7/2+maxpool" else 3

    @property
    def stride(self) -> int:
        return 1 if self.kind == "3x3/1" else 2

    @property
    def conv_size(self) -> int:
        """Side of the convolution's output, before any pooling."""
        return strided(self.size, self.stride)

    @property
    def out_size(self) -> int:
        """Side of what the first stage sees."""
        return strided(self.conv_size, 2) if self.kind == "7x7/2+maxpool" else self.conv_size

    @property
    def geometry(self) -> str:
        return f"stem:{self.kind},{self.size}x{self.size}x{self.channels}"

    @property
    def widths(self) -> tuple[int, ...]:
        return (self.cout,)

    @property
    def macs(self) -> int:
        return self.kernel**2 * self.channels * self.cout * self.conv_size**2


@dataclass(frozen=True, slots=True, order=True)
class BlockShape:
    """Bottleneck: 1x1 to w1, 3x3 to w2 (carries the stride, v1.5), 1x1 to cout, shortcut, ReLU.

    Attributes:
        size: side of the square input map.
    """

    axes: ClassVar[tuple[str, ...]] = ("cin", "w1", "w2", "cout")
    size: int
    stride: int
    shortcut: Shortcut
    cin: int
    w1: int
    w2: int
    cout: int

    def __post_init__(self) -> None:
        if self.shortcut == "identity" and (self.stride != 1 or self.cin != self.cout):
            raise ConfigError(
                "an identity shortcut needs stride 1 and cin == cout, but got "
                f"stride {self.stride}, cin {self.cin}, cout {self.cout}"
            )

    @property
    def out_size(self) -> int:
        return strided(self.size, self.stride)

    @property
    def geometry(self) -> str:
        return f"block:{self.size}x{self.size}/{self.stride},{self.shortcut}"

    @property
    def widths(self) -> tuple[int, ...]:
        return (self.cin, self.w1, self.w2, self.cout)

    @property
    def macs(self) -> int:
        projection = self.cin * self.cout if self.shortcut == "projection" else 0
        at_output = 9 * self.w1 * self.w2 + self.w2 * self.cout + projection
        return self.size**2 * self.cin * self.w1 + self.out_size**2 * at_output


@dataclass(frozen=True, slots=True, order=True)
class HeadShape:
    """Head: global average pool and the fully connected layer."""

    axes: ClassVar[tuple[str, ...]] = ("cin",)
    size: int
    cin: int
    classes: int

    @property
    def geometry(self) -> str:
        return f"head:{self.size}x{self.size},{self.classes}"

    @property
    def widths(self) -> tuple[int, ...]:
        return (self.cin,)

    @property
    def macs(self) -> int:
        return self.cin * self.classes


Shape = StemShape | BlockShape | HeadShape


def parse_shape(geometry: str, widths: tuple[int, ...]) -> Shape:
    """The inverse of `(shape.geometry, shape.widths)`.

    Raises:
        ConfigError: not a geometry this program writes, or not its number of widths.
    """
    try:
        part, _, rest = geometry.partition(":")
        shape = _PARSERS[part](rest, widths)
        numbers = [*widths, *(value for value in astuple(shape) if not isinstance(value, str))]
        if shape.geometry == geometry and all(type(n) is int and 1 <= n <= MOST for n in numbers):
            return shape
    except (KeyError, ValueError, TypeError):
        pass
    raise ConfigError(f"no such geometry with these widths: {geometry!r}, {list(widths)!r}")


def _stem_kind(text: str) -> StemKind:
    return STEM_KINDS[[str(kind) for kind in STEM_KINDS].index(text)]


def _parse_stem(text: str, widths: tuple[int, ...]) -> Shape:
    kind, image = text.rsplit(",", 1)
    size, _, channels = (int(n) for n in image.split("x"))
    (cout,) = widths
    return StemShape(_stem_kind(kind), size, channels, cout)


def _parse_block(text: str, widths: tuple[int, ...]) -> Shape:
    image, shortcut = text.split(",")
    side, stride = image.split("/")
    kind: Shortcut = "identity" if shortcut == "identity" else "projection"
    cin, w1, w2, cout = widths
    return BlockShape(int(side.split("x")[0]), int(stride), kind, cin, w1, w2, cout)


def _parse_head(text: str, widths: tuple[int, ...]) -> Shape:
    image, classes = text.split(",")
    (cin,) = widths
    return HeadShape(int(image.split("x")[0]), cin, int(classes))


_PARSERS: dict[str, Callable[[str, tuple[int, ...]], Shape]] = {
    "stem": _parse_stem,
    "block": _parse_block,
    "head": _parse_head,
}
