"""Hypothesis strategies for latency tables and their parts, and for damage done to their files."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st
from supernet_strategies import configs_of, networks

from latency_tables.calibrate import Line
from latency_tables.conformal import Bound
from latency_tables.features import design
from latency_tables.fitted import Fitted
from latency_tables.grain import Grain
from latency_tables.joint import ENDS
from latency_tables.judge import HeldOut
from latency_tables.model import BlockModel
from latency_tables.table import (
    PRECISIONS,
    ChainRow,
    LatencyTable,
    Measurement,
    NetworkRow,
    Roof,
    Target,
)
from supernet.network import NetworkSpec
from supernet.shapes import STEM_KINDS, BlockShape, HeadShape, Shape, StemShape

latencies = st.floats(min_value=1e-300, max_value=1e300)
sizes = st.one_of(st.integers(1, 64), st.integers(1, 1 << 20))
texts = st.text(
    st.one_of(st.sampled_from("#,\"'\t\n;{}\\"), st.characters(exclude_categories=("Cs", "Cc"))),
    max_size=8,
)


def shapes() -> st.SearchStrategy[Shape]:
    """Stems, bottlenecks of both kinds and heads."""
    stems = st.builds(StemShape, st.sampled_from(STEM_KINDS), sizes, sizes, sizes)
    blocks = st.builds(BlockShape, sizes, sizes, st.just("projection"), sizes, sizes, sizes, sizes)
    same = st.builds(
        lambda size, w, w1, w2: BlockShape(size, 1, "identity", w, w1, w2, w),
        *(sizes, sizes, sizes, sizes),
    )
    return st.one_of(stems, blocks, same, st.builds(HeadShape, sizes, sizes, sizes))


@st.composite
def measurements(draw: st.DrawFn) -> Measurement:
    """With and without levels, flags, notes and an upper bound."""
    lo, median, hi = sorted(draw(st.tuples(latencies, latencies, latencies)))
    rounds = draw(st.lists(latencies, min_size=1, max_size=4).map(tuple))
    levels = draw(st.one_of(st.just(()), st.tuples(*[latencies for _ in rounds])))
    flags = draw(st.lists(texts, max_size=2).map(tuple))
    return Measurement(
        median=median,
        lo=lo,
        hi=hi,
        rounds=rounds,
        levels=levels,
        flags=flags,
        notes=draw(st.lists(texts, max_size=2).map(tuple)),
        isolated=draw(st.none() | latencies),
    )


def targets() -> st.SearchStrategy[Target]:
    return st.builds(
        Target,
        device=texts,
        runtime=texts,
        runtime_version=texts,
        precision=st.sampled_from(PRECISIONS),
        batch=sizes,
        threads=sizes,
        details=st.dictionaries(texts, texts, max_size=2),
    )


def roofs() -> st.SearchStrategy[Roof]:
    return st.builds(Roof, gmacs=latencies, gbytes=latencies)


def chains() -> st.SearchStrategy[ChainRow]:
    pieces = st.lists(shapes(), min_size=1, max_size=3).map(tuple)
    return st.builds(ChainRow, pieces=pieces, measurement=measurements())


def network_rows(network: NetworkSpec) -> st.SearchStrategy[NetworkRow]:
    return st.builds(
        NetworkRow,
        config=configs_of(network),
        measurement=measurements(),
        role=st.sampled_from(["fit", "held-out"]),
    )


def plain_json() -> st.SearchStrategy[Any]:
    """What a protocol may hold."""
    leaves = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**63),
        st.floats(allow_nan=False, allow_infinity=False),
        texts,
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)
        ),
        max_leaves=5,
    )


@st.composite
def fits(draw: st.DrawFn) -> Fitted:
    """Fits of the right form; their numbers mean nothing."""
    numbers = st.floats(0, 1e9)
    figures = st.one_of(numbers, st.just(float("nan")))
    group = draw(st.sampled_from([1, 8, 16]))
    grain = Grain(align=draw(sizes), narrow=draw(sizes), group=group, batch=2 * group)
    launch = draw(numbers)

    def model(sample: Shape) -> BlockModel:
        size = design(sample, np.ones((1, len(sample.axes))), grain).shape[1]
        return BlockModel(
            sample=sample,
            grain=grain,
            coefficients=np.full(size, draw(numbers)),
            ends=np.full(ENDS, draw(numbers)),
            launch_ms=launch,
            low=np.array([1 for _ in sample.axes]),
            high=np.array(sample.widths),
            points=draw(st.integers(0, 9)),
            mape_percent=draw(figures),
            flops_linear_mape_percent=draw(figures),
            inside=draw(st.booleans()),
        )

    return Fitted(
        fingerprint=draw(texts),
        grain=grain,
        models={shape.geometry: model(shape) for shape in draw(st.lists(shapes(), max_size=2))},
        launch_ms=launch,
        line=Line(a=draw(numbers), b=draw(numbers), calibrated=draw(st.booleans())),
        held_out=HeldOut(**{name: draw(figures) for name in HELD_OUT}, points=draw(sizes)),
        bound=Bound(factor=1.5, coverage=0.95, points=draw(sizes), source="held-out networks"),
        unpriced=draw(sizes),
        flagged=0,
        disturbed=draw(st.booleans()),
    )


HELD_OUT = [name for name in HeldOut.__dataclass_fields__ if name != "points"]


@st.composite
def tables(draw: st.DrawFn) -> LatencyTable:
    """Whole tables, some without this or that."""
    network = draw(networks())
    return LatencyTable(
        target=draw(targets()),
        network=network,
        rows=draw(st.dictionaries(shapes(), measurements(), max_size=4)),
        chains=draw(st.lists(chains(), max_size=2).map(tuple)),
        networks=draw(st.lists(network_rows(network), max_size=2).map(tuple)),
        protocol=draw(st.dictionaries(texts, plain_json(), max_size=3)),
        sentinel=draw(st.lists(latencies, max_size=3).map(tuple)),
        roof=draw(st.none() | roofs()),
        fitted=draw(st.none() | fits()),
    )


HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 7, 1 << 20, (1 << 20) + 1, 1 << 63, 10**30, 10**90, -(10**400)),
    *(0.0, -0.0, 0.5, 1e-320, 1e308, -1e308, 8.0),
    *("", " ", "1", "fit", "nan", "\x00", "\ud800", "\x1b[2J", "a\nb", "9" * 200, "é" * 20_000),
    *([], {}, [[]], [{}], [0], [1, 2, 3, 4], [True] * 4, [1e9] * 60, ["x"] * 30, [[1, 1]] * 1100),
    *({"": 0}, {"a": {"a": {"a": []}}}, {"geometry": "head:1x1,1", "widths": [1]}),
    json.loads("[" * 60 + "]" * 60),
    json.loads('{"a":' * 300 + "1" + "}" * 300),
)
"""Values that some reader somewhere stumbled over."""

TOKENS = (
    *(
        "NaN",
        "-Infinity",
        "1e999",
        "-1e999",
        "1" * 5000,
        "0." + "3" * 5000,
        "1e-99999",
        "0x1",
        "01",
    ),
    *("[" * 3000, "{" * 50, '{"a":' * 2000, "]", "}", ",", ":", '"', "\\", "\\ud800", "\\u0000"),
    *(
        "\x00",
        "\ufeff",
        "\ud83d",
        "😀",
        "\r",
        "\n",
        "\x85",
        "\u2028",
        "true",
        "null",
        "'",
        "#",
        "//",
    ),
    *(
        '"schema": 1,',
        '"rows": [],',
        '"a": 1, "a": 2,',
        "&a ",
        "*a",
        "<<: *a",
        "!!python/none ",
        "- ",
    ),
    *("!!bool ", "!!int ''", "!!float ''", "!!timestamp ", "!!set ", "2001-99-99", "0x_", ".inf"),
)
"""Pieces of text that may stand where they should not."""


anything = st.recursive(
    st.one_of(st.sampled_from(HOSTILE), st.integers(), st.floats(), st.text(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=4,
)
"""JSON of any shape, with hostile values among it."""


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to every value of a JSON document."""
    if not isinstance(value, dict | list):
        return []
    keys = list(value) if isinstance(value, dict) else range(len(value))
    inner = [place for key in keys for place in places(value[key], (*path, key))]
    return [*((*path, key) for key in keys), *inner]


@cache
def _places_in(source: str) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.sampled_from(places(json.loads(source)))


JSON_DAMAGE = st.sampled_from(["replace", "replace", "remove", "repeat", "swap", "rename"])
TEXT_DAMAGE = st.sampled_from(["cut", "truncate", "double", "insert", "insert", "overwrite"])
BYTE_DAMAGE = st.sampled_from(["flip", "flip", "set", "cut", "truncate", "double"])
FEW = st.integers(1, 3)


@st.composite
def damaged_json(draw: st.DrawFn, source: str) -> str:
    """A document in which values were replaced, removed, repeated, swapped or renamed."""
    data = json.loads(source)
    for _ in range(draw(FEW)):
        *way, key = draw(_places_in(source))
        spot = data
        try:
            for step in way:
                spot = spot[step]
            spot[key] = spot[key]
        except (KeyError, IndexError, TypeError):  # an earlier damage took this place away
            continue
        match draw(JSON_DAMAGE):
            case "replace":
                spot[key] = deepcopy(draw(anything))  # the next damage may be done inside it
            case "remove":
                del spot[key]
            case "repeat" if isinstance(spot, list):
                spot.insert(key, spot[key])
            case "rename" if isinstance(spot, dict):
                spot[draw(st.text(max_size=3))] = spot.pop(key)
            case _:
                other = next(iter(spot)) if isinstance(spot, dict) else 0
                spot[key], spot[other] = spot[other], spot[key]
    return json.dumps(data)


@st.composite
def damaged_text(draw: st.DrawFn, source: str) -> str:
    """A text of which slices were cut out, doubled or moved, and into which others were put."""
    text = source
    for _ in range(draw(FEW)):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 60)))
        match draw(TEXT_DAMAGE):
            case "cut":
                text = text[:start] + text[end:]
            case "truncate":
                text = text[:start]
            case "double":
                text = text[:end] + text[start:]
            case "insert":
                text = text[:start] + draw(st.sampled_from(TOKENS)) + text[start:]
            case _:
                text = text[:start] + draw(st.text(max_size=4)) + text[end:]
    return text


@st.composite
def damaged_bytes(draw: st.DrawFn, source: bytes) -> bytes:
    """Bytes of which some were flipped, cut out or doubled."""
    data = bytearray(source)
    for _ in range(draw(FEW)):
        start = draw(st.integers(0, max(0, len(data) - 1)))
        end = start + draw(st.integers(0, 9))
        match draw(BYTE_DAMAGE):
            case "flip" if data:
                data[start] ^= 1 << draw(st.integers(0, 7))
            case "set":
                data[start:end] = draw(st.binary(max_size=9))
            case "cut":
                del data[start:end]
            case "truncate":
                del data[start:]
            case _:
                data[start:start] = data[start:end]
    return bytes(data)


def survives(parse: Callable[[Any], object], given: Any, *errors: type[Exception]) -> object:
    """What `parse` makes of it, or None where it refuses in one short line."""
    try:
        return parse(given)
    except errors as error:
        message = str(error)
        assert message.strip()
        assert "\n" not in message, message
        assert len(message) < 1000, message
        return None
