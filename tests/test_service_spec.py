"""The job schema: every shipped preset is valid, and bad input names field, value and choices."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from service.spec import JobSpec, SpecError, load, parse, resolve

CONFIGS = sorted((Path(__file__).parent.parent / "configs").glob("*.yaml"))


def quickstart() -> dict[str, Any]:
    """The quick start's YAML as plain data, to be broken."""
    data: dict[str, Any] = yaml.safe_load(
        (CONFIGS[0].parent / "quickstart.yaml").read_text(encoding="utf-8")
    )
    return data


def broken(place: str, value: object) -> str:
    """The error of the quick start with `value` at a dotted place."""
    data = quickstart()
    *way, last = place.split(".")
    part = data
    for key in way:
        part = part[key]
    part[last] = value
    with pytest.raises(SpecError) as caught:
        parse(yaml.safe_dump(data), "job.yaml")
    return str(caught.value)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_preset_is_complete_and_valid(path: Path) -> None:
    spec = load(path)
    assert spec.name == path.stem
    space = spec.space.build(spec.network)
    assert space.largest() == spec.network.dense()
    assert spec.limits.given()


def test_there_are_the_four_presets() -> None:
    assert {path.stem for path in CONFIGS} >= {
        "quickstart",
        "fashion-mnist",
        "resnet50-224-cpu",
        "imagenet-resnet50-a100-int8",
    }


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("quantise", {"keep": ["conv9"]}, ["quantise.keep", "conv9", "conv1", "fc"]),
        ("quantise", {"methods": []}, ["quantise.methods"]),
        ("quantise", {"percentile": 20}, ["quantise.percentile", "50"]),
        ("target.colour", 1, ["target.colour", "unknown key", "backend", "threads"]),
        ("colour", 1, ["colour", "unknown key", "limits"]),
        ("network.stem", "5x5", ["network.stem", "5x5", "3x3/2"]),
        ("network.depth", [3], ["network", "'depth'", "depths"]),
        ("network.classes", "ten", ["network.classes", "ten"]),
        ("target.batch", 0, ["target.batch", "0"]),
        ("target.batch", "1", ["target.batch", "'1'"]),
        ("target.precision", "fp8", ["target.precision", "fp8", "int8"]),
        ("limits.latency_ms", "half", ["limits.latency_ms", "half", "45%"]),
        ("limits.macs", -1, ["limits.macs", "-1"]),
        ("train.recipe.epochs", 0, ["train.recipe", "epochs", "0"]),
        ("train.recipe.epoch", 3, ["train.recipe", "'epoch'", "epochs"]),
        ("name", "../x", ["name", "../x"]),
    ],
)
def test_bad_input_is_one_line_with_field_value_and_choices(
    place: str, value: object, words: list[str]
) -> None:
    message = broken(place, value)
    assert "\n" not in message
    for word in ("job.yaml", *words):
        assert word in message


@given(st.text(max_size=300))
def test_any_text_is_a_job_or_our_error(text: str) -> None:
    with contextlib.suppress(SpecError):
        assert isinstance(parse(text), JobSpec)


def limits(extra: str) -> str:
    """The quick start's job with more limits."""
    text = (CONFIGS[0].parent / "quickstart.yaml").read_text(encoding="utf-8")
    head, _, rest = text.partition("limits:\n")
    assert rest
    return f"{head}limits:\n{extra}{rest}"


def test_further_tables_and_bands_are_limits_too() -> None:
    spec = parse(
        limits(
            "  further:\n    phone: {table: resnet50-224-ort-int8-1t-epyc, latency_ms: 50%}\n"
            "  at_least: {'latency_ms:phone': 40%}\n"
        )
    )
    assert spec.limits.given()["latency_ms:phone"] == "50%"
    assert spec.limits.at_least == {"latency_ms:phone": "40%"}


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("  further: {'a b': {table: x, latency_ms: 5}}\n", ["limits.further", "'a b'"]),
        ("  further: {a: {table: x}}\n", ["limits.further.a.latency_ms"]),
        ("  further: {a: {table: x, latency_ms: -5}}\n", ["limits.latency_ms:a", "-5"]),
        ("  at_least: {watts: 5}\n", ["'watts' has no limit", "latency_ms"]),
        ("  at_least: {latency_ms: nan%}\n", ["limits.at_least.latency_ms", "nan%"]),
    ],
)
def test_a_wrong_limit_is_named_in_one_line(extra: str, words: list[str]) -> None:
    with pytest.raises(SpecError) as caught:
        parse(limits(extra))
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_limits_are_numbers_or_percentages_of_dense() -> None:
    assert resolve("45%", 200.0, "x") == pytest.approx(90)
    assert resolve(7, 200.0, "x") == 7
    for wrong in ("45", "-3%", "nan%", float("inf"), 0):
        with pytest.raises(SpecError, match="x must be"):
            resolve(wrong, 200.0, "x")


def test_unreadable_file_names_it(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"none\.yaml"):
        load(tmp_path / "none.yaml")
