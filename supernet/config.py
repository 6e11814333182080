"""`ChannelConfig`: the widths of one network, and their JSON form.

Knows nothing of depths, strides or image sizes; `supernet.network` does.
"""

from __future__ import annotations

import json
import reprlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

MAX_WIDTH = 1 << 16  # Sums of products of widths stay far inside 64 bits.
MOST_BLOCKS = 1000  # ResNet-152 has 50; more is a damaged file.
LONGEST = 1 << 17  # characters of a config's JSON; the largest take a fifth of it


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
        _check_length(self.stages, self.inner)
        for name, width in (
            ("stem", self.stem),
            *((f"stages[{i}]", w) for i, w in enumerate(self.stages)),
        ):
            if not _is_width(width) or width < 1:
                raise ConfigError(
                    f"{name} must be a whole number from 1 to {MAX_WIDTH}, but got {brief(width)}"
                )
        for index, pair in enumerate(self.inner):
            if len(pair) != 2 or not all(map(_is_width, pair)):
                raise ConfigError(
                    f"inner[{index}] must be two whole numbers from 0 to {MAX_WIDTH}, "
                    f"but got {brief(list(pair))}"
                )
            if (pair[0] == 0) != (pair[1] == 0):
                raise ConfigError(
                    f"inner[{index}] must have both widths 0 (block removed) or none, "
                    f"but got {brief(list(pair))}"
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
            wrong = brief(sorted(map(str, set(data) ^ keys)))
            raise ConfigError(f"a config has exactly the keys stem, stages, inner; wrong: {wrong}")
        stages, inner = data["stages"], data["inner"]
        if not isinstance(stages, list):
            raise ConfigError(f"stages must be a list of widths, but got {brief(stages)}")
        if not isinstance(inner, list) or not all(isinstance(pair, list) for pair in inner):
            raise ConfigError("inner must be a list of [conv1, conv2] width pairs")
        _check_length(stages, inner)
        return cls(data["stem"], tuple(stages), tuple(tuple(pair) for pair in inner))

    @classmethod
    def parse(cls, text: str) -> ChannelConfig:
        """Reads a JSON document; see `from_json`."""
        if len(text) > LONGEST:
            raise ConfigError(f"a config has at most {LONGEST} characters, but got {len(text)}")
        try:
            data = json.loads(text, object_pairs_hook=unique)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"a config must be JSON: {error}") from None
        return cls.from_json(data)


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object of these keys and values; an `object_pairs_hook`.

    Raises:
        ValueError: a key appears twice, and which of its values is meant nobody knows.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        raise ValueError(f"key {brief(counts.most_common(1)[0][0])} appears twice")
    return found


def brief(value: object) -> str:
    """A value for an error message: its `repr`, cut short, however long or deep it is."""
    try:
        return _REPR.repr(value)
    except ValueError:  # more digits than Python prints
        return f"{type(value).__name__} with thousands of digits"


_REPR = reprlib.Repr()
_REPR.maxlevel, _REPR.maxstring, _REPR.maxother = 3, 60, 60


def _check_length(stages: Sequence[object], inner: Sequence[object]) -> None:
    if max(len(stages), len(inner)) > MOST_BLOCKS:
        raise ConfigError(
            f"a config has at most {MOST_BLOCKS} stages and inner pairs, but got "
            f"{len(stages)} and {len(inner)}"
        )


def _is_width(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_WIDTH
