"""Opening a bundle: every file is what the manifest says, or there is one clear line."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import struct
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import onnx
import pytest
from bundles import NETWORK, edit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper

from bundle.load import load
from bundle.manifest import CLAIMS, INT8, MANIFEST, ONNX, WEIGHTS, BundleError
from bundle.reading import opened
from bundle.writing import pack, seal

Files = dict[str, bytes]
TARGET = {
    "device": "a CPU", "runtime": "onnxruntime", "runtime_version": "1", "precision": "fp32",
    "batch": 1, "threads": 1,
}  # fmt: skip
INTERVAL = {"median": 1.0, "lo": 1.0, "hi": 1.0}
LATENCY = {"precision": "fp32", "target": TARGET, "ms": INTERVAL, "times_dense": INTERVAL}


@pytest.fixture(scope="session")
def archive(made: Path) -> bytes:
    path = made.parent / "whole.zip"
    pack(made, path)
    return path.read_bytes()


def test_folder_and_archive_open_alike(made: Path, archive: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(archive)
    with opened(made) as one, opened(tmp_path / "a.zip") as two:
        assert one.claims == two.claims
        names = {path.name for path in one.folder.iterdir()}
        assert names == {path.name for path in two.folder.iterdir()}
        assert all((one.folder / n).read_bytes() == (two.folder / n).read_bytes() for n in names)
        place = two.folder
    assert not place.exists()
    assert load(tmp_path / "a.zip").state_dict().keys() == load(made).state_dict().keys()


def test_the_same_files_give_the_same_archive(made: Path, archive: bytes, tmp_path: Path) -> None:
    pack(made, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == archive
    assert [path.name for path in tmp_path.iterdir()] == ["again.zip"]


@pytest.mark.parametrize(
    "name", [CLAIMS, WEIGHTS, ONNX, INT8, MANIFEST, "recipe.yaml", "environment.json", "README.md"]
)
def test_a_changed_byte_is_found(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(bytes(content))
    with pytest.raises(BundleError, match=name.replace(".", r"\.")), opened(folder):
        pass


def test_missing_and_foreign_files_are_named(folder: Path) -> None:
    (folder / "NOTICE.txt").rename(folder / "hidden.sh")
    with pytest.raises(BundleError, match=r"'hidden\.sh' does not belong"), opened(folder):
        pass
    (folder / "hidden.sh").unlink()
    with pytest.raises(BundleError, match=r"NOTICE\.txt is missing"), opened(folder):
        pass


def test_a_file_that_the_manifest_does_not_know(folder: Path) -> None:
    (folder / INT8).unlink()
    with pytest.raises(BundleError, match=r"model\.int8\.onnx' is in MANIFEST"), opened(folder):
        pass
    seal(folder)
    with opened(folder) as bundle:
        assert bundle.file(INT8) is None


def test_links_are_not_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes((folder / "NOTICE.txt").read_bytes())
    (folder / "NOTICE.txt").unlink()
    (folder / "NOTICE.txt").symlink_to(tmp_path / "secret")
    with pytest.raises(BundleError, match="not a plain file"), opened(folder):
        pass
    (folder / "NOTICE.txt").unlink()
    os.mkfifo(folder / "NOTICE.txt")
    with pytest.raises(BundleError, match="not a plain file"), opened(folder):
        pass


def members(archive: bytes) -> Files:
    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        return {name: source.read(name) for name in source.namelist()}


def zipped(entries: list[tuple[zipfile.ZipInfo | str, bytes]], kind: int) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", kind) as out:
        for info, content in entries:
            out.writestr(info, content)
    return target.getvalue()


def info(name: str, mode: int = 0o100644) -> zipfile.ZipInfo:
    found = zipfile.ZipInfo(name)
    found.external_attr, found.create_system = mode << 16, 3
    return found


def with_extra(name: str) -> Callable[[Files], bytes]:
    return lambda files: zipped([*files.items(), (name, b"x")], zipfile.ZIP_STORED)


def without(name: str) -> Callable[[Files], bytes]:
    return lambda files: zipped([e for e in files.items() if e[0] != name], zipfile.ZIP_STORED)


def with_mode(mode: int) -> Callable[[Files], bytes]:
    return lambda files: zipped(
        [(info(n, mode if n == "NOTICE.txt" else 0o100644), c) for n, c in files.items()],
        zipfile.ZIP_STORED,
    )


def bomb(files: Files) -> bytes:
    packed = {**files, WEIGHTS: bytes(300 << 20)}
    return zipped(list(packed.items()), zipfile.ZIP_DEFLATED)


def lying(files: Files) -> bytes:
    """Says that a file unpacks to little, but it does not."""
    content = bytearray(zipped([*files.items()], zipfile.ZIP_DEFLATED))
    at = content.rindex(b"PK\x01\x02")
    struct.pack_into("<I", content, at + 24, 5)
    return bytes(content)


def lying_bomb(files: Files) -> bytes:
    """Says that zeros were hardly packed, with enough behind them for a reader to read ahead."""
    first = {WEIGHTS: bytes(300 << 20), **{n: c for n, c in files.items() if n != WEIGHTS}}
    content = bytearray(zipped(list(first.items()), zipfile.ZIP_DEFLATED))
    at = content.index(b"PK\x01\x02")
    struct.pack_into("<I", content, at + 20, 1 << 30)
    struct.pack_into("<I", content, len(content) - 6, at + (2 << 20))
    content[at:at] = bytes(2 << 20)
    return bytes(content)


def encrypted(files: Files) -> bytes:
    content = bytearray(zipped([*files.items()], zipfile.ZIP_STORED))
    at = -1
    while (at := content.find(b"PK\x01\x02", at + 1)) >= 0:
        content[at + 8] |= 1
    return bytes(content)


CORPUS: dict[str, tuple[Callable[[Files], bytes], str]] = {
    **{
        f"extra {name!r}": (with_extra(name), "does not belong")
        for name in (
            "../evil", "..", ".", "/etc/passwd", "a/b", "a\\b", "C:\\x", "bundle.JSON",
            "Bundle.json", "bundle.json ", "bundle.json/", "./bundle.json", "__init__.py",
            "model.onnx.data", "weights.pt", "weights.pkl", "MANIFEST.json.", "x" * 5000, "\n",
            "model.onnx\u202e", "nul", "folder/",
        )
    },
    **{
        f"no {name}": (without(name), "is missing")
        for name in (MANIFEST, CLAIMS, WEIGHTS, ONNX, "recipe.yaml", "README.md", "NOTICE.txt")
    },
    "twice": (with_extra(CLAIMS), "more than once"),
    "link": (with_mode(0o120777), "not a plain file"),
    "device": (with_mode(0o020644), "not a plain file"),
    "pipe": (with_mode(0o010644), "not a plain file"),
    "folder": (with_mode(0o040755), "not a plain file"),
    "bomb": (bomb, "unpacks to more than"),
    "lying bomb": (lying_bomb, "larger than the archive"),
    "a thousand times": (
        lambda files: zipped([*files.items(), *[(CLAIMS, b"")] * 1000], zipfile.ZIP_STORED),
        "more than once",
    ),
    "lying size": (lying, "not a bundle|not what|unpacks"),
    "encrypted": (encrypted, "encrypted"),
    "bzip2": (lambda files: zipped([*files.items()], zipfile.ZIP_BZIP2), "method"),
    "lzma": (lambda files: zipped([*files.items()], zipfile.ZIP_LZMA), "method"),
    "empty": (lambda files: b"", "not a bundle"),
    "no archive": (lambda files: b"PK no archive", "not a bundle"),
    "no members": (lambda files: zipped([], zipfile.ZIP_STORED), "is missing"),
    "cut": (lambda files: zipped([*files.items()], zipfile.ZIP_STORED)[:-40], "not a bundle"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("case", CORPUS)
def test_hostile_archives_are_refused(archive: bytes, tmp_path: Path, case: str) -> None:
    maker, reason = CORPUS[case]
    place = tmp_path / "in"
    place.mkdir()
    (place / "b.zip").write_bytes(maker(members(archive)))
    with pytest.raises(BundleError, match=reason) as caught, opened(place / "b.zip"):
        pass
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    assert [path.name for path in place.iterdir()] == ["b.zip"]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changes=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=20))
def test_a_damaged_archive_is_refused_or_whole(
    archive: bytes, made: Path, tmp_path: Path, changes: list[tuple[float, int]]
) -> None:
    content = bytearray(archive)
    for place, value in changes:
        content[min(int(place * len(content)), len(content) - 1)] = value
    path = tmp_path / "damaged.zip"
    path.write_bytes(bytes(content))
    with contextlib.suppress(BundleError), opened(path) as bundle:
        for file in bundle.folder.iterdir():
            assert file.read_bytes() == (made / file.name).read_bytes()


def seal_and_open(folder: Path) -> None:
    seal(folder)
    with opened(folder):
        pass


def resealed(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    seal(folder)


def test_graphs_hold_known_operators_and_their_own_weights(folder: Path) -> None:
    model = onnx.load(str(folder / ONNX))
    plain = model.SerializeToString()

    def refused(change: Callable[[onnx.ModelProto], object], reason: str) -> None:
        changed = onnx.load_model_from_string(plain)
        change(changed)
        resealed(folder, ONNX, changed.SerializeToString())
        with pytest.raises(BundleError, match=reason) as caught, opened(folder):
            pass
        assert "\n" not in str(caught.value)

    refused(lambda m: setattr(m.graph.node[0], "op_type", "Loop"), "'Loop', which is not allowed")
    refused(lambda m: setattr(m.graph.node[0], "domain", "evil"), "'evil.Conv'")
    refused(lambda m: m.opset_import.add(domain="com.microsoft", version=1), "other domains")
    refused(lambda m: m.functions.add(name="f"), "other domains")

    def hidden(m: onnx.ModelProto) -> None:
        m.graph.node[0].attribute.add(name="body", type=onnx.AttributeProto.GRAPH)

    def sparse(m: onnx.ModelProto) -> None:
        m.graph.sparse_initializer.add()

    def huge(m: onnx.ModelProto) -> None:
        m.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1 << 40

    refused(hidden, "graphs or sparse tensors inside")
    refused(sparse, "graphs or sparse tensors inside")
    refused(huge, "values at a time|is broken")

    def outside(m: onnx.ModelProto) -> None:
        m.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL
        m.graph.initializer[0].external_data.add(key="location", value="../../etc/passwd")

    refused(outside, "weights in other files")
    refused(lambda m: m.graph.node[1].input.__setitem__(0, "nowhere"), "is broken")


def test_graphs_take_the_images_and_give_the_logits_of_the_network(folder: Path) -> None:
    def constant(sizes: list[int], takes: list[list[int]]) -> bytes:
        value = helper.make_tensor("c", onnx.TensorProto.FLOAT, sizes, [0.0] * math.prod(sizes))
        node = helper.make_node("Constant", [], ["y"], value=value)
        ports = [
            helper.make_tensor_value_info(f"x{n}", onnx.TensorProto.FLOAT, shape)
            for n, shape in enumerate(takes)
        ]
        gives = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, sizes)
        graph = helper.make_graph([node], "g", ports, [gives])
        opset = [helper.make_opsetid("", 18)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=10)
        return bytes(model.SerializeToString())

    images = [8, 1, 8, 8]
    wrong: list[tuple[list[int], list[list[int]], str]] = [
        ([8, 10], [], "takes something else"),
        ([8, 10], [[]], "takes something else"),
        ([8, 10], [images, [8]], "takes something else"),
        ([8, 10], [[8, 3, 8, 8]], "takes something else"),
        ([3, 7], [images], "gives something else"),
        ([], [images], "gives something else"),
    ]
    for sizes, takes, reason in wrong:
        resealed(folder, ONNX, constant(sizes, takes))
        with pytest.raises(BundleError, match=reason), opened(folder):
            pass
    resealed(folder, ONNX, constant([8, 10], [images]))
    with opened(folder):
        pass


def test_bytes_that_are_no_graph(folder: Path) -> None:
    resealed(folder, ONNX, b"\xff" * 100)
    with pytest.raises(BundleError, match="not ONNX"), opened(folder):
        pass


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "must be an object"),
        (b"{}", "name"),
        (b'{"schema": 2}', "schema"),
        (b"\xff\xfe", "not JSON"),
        (b" " * (2 << 20), "more than"),
    ],
)
def test_claims_that_cannot_be_read(folder: Path, content: bytes, reason: str) -> None:
    (folder / CLAIMS).write_bytes(content)
    with pytest.raises(BundleError, match=reason):
        seal_and_open(folder)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"config": {}}, "names no network"),
        ({"network": {"depths": [2, 1], "width": 1e30}}, "names no network"),
        ({"network": {"depths": [2], "more": 1}}, "names no network"),
        ({"macs": "many"}, "macs"),
        ({"name": "\x1b[2Jfound"}, "printable"),
        ({"estimate": float("nan")}, "estimate"),
        ({"latency": [{**LATENCY, "target": {}}]}, "no target"),
        ({"latency": [{**LATENCY, "target": {**TARGET, "batch": "x"}}]}, "no target"),
        ({"latency": [{**LATENCY, "target": {**TARGET, "batch": -1}}]}, "batch and threads"),
        ({"latency": [{**LATENCY, "target": {**TARGET, "threads": 1.5}}]}, "whole numbers"),
        ({"latency": [{**LATENCY, "target": {**TARGET, "device": "\n"}}]}, "printable"),
        ({"network": {**asdict(NETWORK), "classes": 1.5}}, "classes must be a whole number"),
        ({"network": {**asdict(NETWORK), "classes": True}}, "classes must be a whole number"),
        ({"network": {**asdict(NETWORK), "resolution": 16}}, "other images"),
        ({"accuracy": {"fp32": {"test": 2, "n": 1, "lo": 0, "hi": 1}}}, "accuracy"),
        ({"code": "import os"}, "code"),
    ],
)
def test_claims_that_make_no_sense(folder: Path, changes: dict[str, object], reason: str) -> None:
    edit(folder, **changes)
    with pytest.raises(BundleError, match=reason), opened(folder):
        pass


def test_weights_of_another_network_and_bombs_in_claims(folder: Path) -> None:
    data = json.loads((folder / CLAIMS).read_text())
    edit(folder, config={**data["config"], "stem": 60_000})
    with pytest.raises(BundleError, match="cannot hold"):
        load(folder)
    edit(folder, config={**data["config"], "stem": 6})
    with pytest.raises(BundleError, match="weights of another network"):
        load(folder)
    edit(folder, config=data["config"])
    resealed(folder, WEIGHTS, b"\xff" * (folder / WEIGHTS).stat().st_size)
    with pytest.raises(BundleError, match="cannot be read"):
        load(folder)


def test_a_path_that_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="No such file"), opened(tmp_path / "none.zip"):
        pass
