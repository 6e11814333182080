"""Inputs and the timed loop."""

from __future__ import annotations

import time

import numpy as np
import pytest

from profiler.feed import INPUTS, cycled, samples


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.uint8, np.int8])
def test_inputs_are_distinct_of_their_type_and_never_zero(dtype: type[np.generic]) -> None:
    found = list(samples((2, 3, 300, 301), dtype))
    assert len(found) == INPUTS
    for values in found:
        assert values.shape == (2, 3, 300, 301)
        assert values.dtype == dtype
        assert np.isfinite(values).all()
        assert values.min() > 0
        assert len(np.unique(values)) > (60 if dtype is np.int8 else 100)
    assert all((found[0] != other).any() for other in found[1:])
    np.testing.assert_array_equal(found[0], next(samples((2, 3, 300, 301), dtype)))


def test_feeds_are_cycled_across_calls_and_the_last_of_a_call_is_run_to_its_end() -> None:
    seen: list[str] = []
    runner = cycled(
        lambda feed: seen.append(f"queue {feed}"), "abc", last=lambda f: seen.append(f"wait {f}")
    )
    runner(2), runner(1), runner(2)
    assert seen == ["queue a", "wait b", "wait c", "queue a", "wait b"]


def test_a_runner_returns_milliseconds_a_run() -> None:
    assert 2 <= cycled(time.sleep, [0.002, 0.003])(4) < 20
