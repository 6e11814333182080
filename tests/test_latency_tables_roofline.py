"""The roofline: bytes counted by hand, and what bounds a block."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from latency_tables_synthetic import TARGET, measurement, table

from latency_tables.plots import plot_roofline, plot_stairs, roof_points
from latency_tables.roofline import bytes_moved, roofline
from latency_tables.table import LatencyTable, Measurement, MissingShapeError, Roof, TableError
from supernet.shapes import BlockShape, HeadShape, Shape, StemShape

ROOF = Roof(gmacs=50.0, gbytes=10.0)
TABLE = replace(table(points=9, networks=0), roof=ROOF)


def test_bytes_of_an_identity_block() -> None:
    block = BlockShape(7, 1, "identity", 32, 8, 12, 32)
    weights = 32 * 8 + 9 * 8 * 12 + 12 * 32
    conv1, conv2, conv3 = 32 + 8, 8 + 12, 12 + 32
    maps = 49 * (conv1 + conv2 + conv3 + 32)  # and the block's input once more, to be added
    assert bytes_moved(block, 1, "fp32") == 4 * (weights + maps)
    assert bytes_moved(block, 3, "fp16") == 2 * (weights + 3 * maps)
    assert bytes_moved(block, 1, "int8") == weights + maps


def test_a_strided_projection_skips_three_positions_in_four() -> None:
    block = BlockShape(8, 2, "projection", 32, 8, 12, 64)
    weights = 32 * 8 + 9 * 8 * 12 + 12 * 64 + 32 * 64
    conv1, conv2, conv3 = 64 * (32 + 8), 64 * 8 + 16 * 12, 16 * (12 + 64)
    shortcut, added = 16 * (32 + 64), 16 * 64
    maps = conv1 + conv2 + conv3 + shortcut + added
    assert bytes_moved(block, 1, "fp32") == 4 * (weights + maps)


def test_bytes_of_stems_and_heads() -> None:
    pooled = StemShape("7x7/2+maxpool", 224, 3, 16)
    conv = 49 * 3 * 16 + 224**2 * 3 + 112**2 * 16
    assert bytes_moved(pooled, 1, "fp32") == 4 * (conv + (112**2 + 56**2) * 16)
    plain = StemShape("3x3/1", 32, 3, 16)
    assert bytes_moved(plain, 1, "fp32") == 4 * (9 * 3 * 16 + 32**2 * (3 + 16))
    assert bytes_moved(HeadShape(7, 64, 10), 2, "fp32") == 4 * (64 * 10 + 2 * (49 * 64 + 10))


def one(shape: Shape, ms: float, roof: Roof, batch: int = 1) -> LatencyTable:
    row = Measurement(median=ms, lo=ms, hi=ms, rounds=(ms,))
    return replace(TABLE, rows={shape: row}, roof=roof, target=replace(TARGET, batch=batch))


def test_what_bounds_a_block() -> None:
    block = BlockShape(7, 1, "identity", 32, 8, 12, 32)
    intensity = block.macs / bytes_moved(block, 1, "fp32")
    (found,) = roofline(one(block, 1.0, Roof(gmacs=1.0, gbytes=100.0)))
    assert (found.by_memory, found.bound) == (False, 1.0)
    assert found.gmacs == pytest.approx(block.macs / 1e6)
    assert found.intensity == pytest.approx(intensity)
    assert found.share == pytest.approx(block.macs / 1e6)
    (found,) = roofline(one(block, 0.5, Roof(gmacs=1e6, gbytes=2.0)))
    assert found.by_memory
    assert found.bound == pytest.approx(2 * intensity)
    assert found.gmacs == pytest.approx(block.macs / 0.5e6)


def test_a_batch_reads_its_weights_once() -> None:
    block = BlockShape(7, 1, "identity", 512, 128, 128, 512)
    points = [roofline(one(block, 1.0, ROOF, batch))[0] for batch in (1, 8)]
    assert points[1].intensity > 1.5 * points[0].intensity
    assert points[1].gmacs == pytest.approx(8 * points[0].gmacs)


def test_every_row_has_its_point() -> None:
    points = roof_points(TABLE)
    assert points is not None
    assert set(points) == set(TABLE.rows)
    assert roof_points(replace(TABLE, roof=None)) is None


def test_the_roof_is_drawn(tmp_path: Path) -> None:
    plot_roofline(TABLE, tmp_path / "roof.png")
    assert (tmp_path / "roof.png").stat().st_size > 20_000
    plot_roofline(TABLE, tmp_path / "roof.html")
    text = (tmp_path / "roof.html").read_text(encoding="utf-8").replace("\\u002f", "/")
    for expected in ("peak 50 GMAC/s, 10 GB/s", "block:4x4/1,identity: ", "% of the roof"):
        assert expected in text


def test_stairs_have_the_roof_beside_them(tmp_path: Path) -> None:
    shapes = [BlockShape(4, 1, "identity", 256, w, w, 256) for w in range(40, 65)]
    rng = np.random.default_rng(0)
    rows: dict[Shape, Measurement] = {s: measurement(1.0, rng, 0.001) for s in shapes}
    swept = replace(TABLE, rows=rows)
    sizes = {}
    for name, roof in (("with", ROOF), ("without", None)):
        file = tmp_path / f"{name}.html"
        plot_stairs(replace(swept, roof=roof), file)
        sizes[name] = "of the roof (median" in file.read_text(encoding="utf-8")
        plot_stairs(replace(swept, roof=roof), file.with_suffix(".png"))
    assert sizes == {"with": True, "without": False}


def test_without_a_roof_nothing_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="holds no roof"):
        plot_roofline(replace(TABLE, roof=None), tmp_path / "roof.png")
    with pytest.raises(MissingShapeError, match="holds no rows"):
        plot_roofline(replace(TABLE, rows={}), tmp_path / "roof.png")
    with pytest.raises(TableError, match=r"\.html or \.png"):
        plot_roofline(TABLE, tmp_path / "roof.svg")
    assert not list(tmp_path.iterdir())
