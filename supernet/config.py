"""`ChannelConfig`: the widths of one network, and their JSON form.

Knows nothing of depths, strides or image sizes; `supernet.network` does.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

MAX_WIDTH = 1 << 16  # Sums of products of widths stay far inside 64 bits.


class ConfigError(ValueError):
    """A channel config, network or search space that breaks a rule; the message says which."""


@dataclass(frozen=True, slots=True)
class ChannelConfig:
    """Widths (numbers of channels) of one ResNet with bottlenecks.

    Attributes:
        stem: outputs of the stem convolution.
        stages: one output width per stage.
        inner: per bottleneck, the outputs of its conv1 and conv2; `(0, 0)` removes the block.
    """

    stem: int
    stages: tuple[int, ...]
    inner: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        for name, width in (
            ("stem", self.stem),
            *((f"stages[{i}]", w) for i, w in enumerate(self.stages)),
        ):
            if not _is_width(width) or width < 1:
                raise ConfigError(
                    f"{name} must be a whole number from 1 to {MAX_WIDTH}, but got {width!r}"
                )
        for index, pair in enumerate(self.inner):
            if len(pair) != 2 or not all(map(_is_width, pair)):
                raise ConfigError(
                    f"inner[{index}] must be two whole numbers from 0 to {MAX_WIDTH}, "
                    f"but got {list(pair)!r}"
                )
            if (pair[0] == 0) != (pair[1] == 0):
                raise ConfigError(
                    f"inner[{index}] must have both widths 0 (block removed) or none, "
                    f"but got {list(pair)!r}"
                )

    def to_json(self) -> dict[str, Any]:
        """The dict form: `{"stem": 64, "stages": [...], "inner": [[64, 64], ...]}`."""
        return {
            "stem": self.stem,
            "stages": list(self.stages),
            "inner": [list(pair) for pair in self.inner],
        }

    @classmethod
    def from_json(cls, data: object) -> ChannelConfig:
        """Reads the dict form. Keys beside the three are refused.

        Raises:
            ConfigError: wrong type, missing or unknown key, bad width.
        """
        if not isinstance(data, dict):
            raise ConfigError(f"a config must be a JSON object, but got {type(data).__name__}")
        keys = {"stem", "stages", "inner"}
        if set(data) != keys:
            wrong = sorted(map(str, set(data) ^ keys))
            raise ConfigError(f"a config has exactly the keys stem, stages, inner; wrong: {wrong}")
        stages, inner = data["stages"], data["inner"]
        if not isinstance(stages, list):
            raise ConfigError(f"stages must be a list of widths, but got {stages!r}")
        if not isinstance(inner, list) or not all(isinstance(pair, list) for pair in inner):
            raise ConfigError("inner must be a list of [conv1, conv2] width pairs")
        return cls(data["stem"], tuple(stages), tuple(tuple(pair) for pair in inner))

    @classmethod
    def parse(cls, text: str) -> ChannelConfig:
        """Reads a JSON document; see `from_json`."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"a config must be JSON: {error}") from None
        return cls.from_json(data)


def _is_width(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_WIDTH
