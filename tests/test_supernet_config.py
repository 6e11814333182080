"""The JSON form of channel configs."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from supernet_strategies import networks_with_config

from supernet.config import MAX_WIDTH, ChannelConfig, ConfigError
from supernet.network import NetworkSpec

GOOD: dict[str, Any] = {"stem": 8, "stages": [16, 32], "inner": [[4, 4], [0, 0], [8, 6]]}
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(networks_with_config())
def test_json_round_trip(pair: tuple[NetworkSpec, ChannelConfig]) -> None:
    config = pair[1]
    assert ChannelConfig.parse(json.dumps(config.to_json())) == config
    assert hash(ChannelConfig.from_json(config.to_json())) == hash(config)


@given(ANY_JSON)
def test_arbitrary_json_is_refused(data: Any) -> None:
    with pytest.raises(ConfigError):
        ChannelConfig.parse(json.dumps(data))


@given(st.text())
def test_arbitrary_text_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        ChannelConfig.parse(text)


@given(st.sampled_from(sorted(GOOD)), ANY_JSON)
def test_one_arbitrary_value_is_valid_or_a_config_error(key: str, value: Any) -> None:
    with suppress(ConfigError):
        data = {**GOOD, key: value}
        assert ChannelConfig.from_json(data).to_json() == data


@given(st.integers(0, 2), st.integers(0, 1), ANY_JSON)
def test_one_arbitrary_inner_width(row: int, column: int, value: Any) -> None:
    inner = [list(pair) for pair in GOOD["inner"]]
    inner[row][column] = value
    with suppress(ConfigError):
        assert ChannelConfig.from_json({**GOOD, "inner": inner}).to_json()["inner"] == inner


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stem": 0}, "stem must be a whole number from 1"),
        ({"stem": True}, "stem must be a whole number"),
        ({"stem": 8.0}, "stem must be a whole number"),
        ({"stem": MAX_WIDTH + 1}, f"to {MAX_WIDTH}"),
        ({"stages": 5}, "stages must be a list"),
        ({"stages": [16, -1]}, r"stages\[1\]"),
        ({"inner": [[4, 4, 4]]}, r"inner\[0\] must be two"),
        ({"inner": [[4, 4], [0, 3]]}, r"inner\[1\] must have both widths 0"),
        ({"inner": [4, 4]}, "inner must be a list of"),
        ({"extra": 1}, "wrong: .'extra'."),
    ],
)
def test_message_names_the_rule(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ChannelConfig.from_json({**GOOD, **change})


def test_missing_key_is_named() -> None:
    with pytest.raises(ConfigError, match="inner"):
        ChannelConfig.from_json({"stem": 8, "stages": [16]})


@pytest.mark.parametrize("text", ["1" * 5000, "[" * 100_000, '{"stem": NaN}', "\ud800", ""])
def test_hostile_documents(text: str) -> None:
    with pytest.raises(ConfigError):
        ChannelConfig.parse(text)
