"""What of TensorRT needs neither a GPU nor TensorRT: settings, files, reports, and running on a
strict stand-in."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnx
import pytest
import trt_fake
from hypothesis import given
from hypothesis import strategies as st
from trt_fake import PLAN, REPORT, Fake, module

from profiler.backend import BackendError
from profiler.gpu.engine import Engine
from profiler.graphs import block_model
from profiler.trt import loading
from profiler.trt.engine import TensorRtEngine
from profiler.trt.errors import Log
from profiler.trt.formats import VECTORS, allow, padded_bytes
from profiler.trt.inspector import Inspection, parse
from profiler.trt.onnx_source import check_symmetric, onnx_file
from profiler.trt.plan_file import PlanFile, beside, load, save
from profiler.trt.settings import Settings
from profiler.trt.timing_cache import DIGEST, TimingCache
from supernet.shapes import BlockShape

BLOCK = BlockShape(6, 1, "identity", 16, 4, 4, 16)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
LAYER = st.dictionaries(st.sampled_from(["Name", "LayerType", "TacticName", "Inputs"]), JSON)


def engine(**changed: str) -> tuple[TensorRtEngine, Fake]:
    fake = Fake(**changed)
    return TensorRtEngine(module(fake), PLAN, "a block"), fake


def test_an_engine_tells_its_tensors_with_padded_bytes() -> None:
    running, _ = engine()
    as_protocol: Engine = running
    into, out = as_protocol.tensors
    assert (into.name, into.is_input, into.dtype, into.shape) == (
        "input",
        True,
        "fp16",
        (2, 37, 4, 4),
    )
    assert into.nbytes == 2 * 40 * 4 * 4 * 2
    assert (out.name, out.is_input, out.dtype, out.nbytes) == ("output", False, "fp32", 2 * 5 * 4)


def test_an_engine_runs_once_everything_is_bound() -> None:
    running, fake = engine()
    running.bind("input", 512)
    with pytest.raises(
        BackendError, match=r"cannot queue a block: addresses missing: \['output'\]"
    ):
        running.enqueue(7)
    running.bind("output", 1024)
    running.enqueue(7)
    assert fake.runs == [7]
    with pytest.raises(BackendError, match="cannot bind other of a block: no such tensor"):
        running.bind("other", 0)


def test_an_engine_that_cannot_be_read_says_why() -> None:
    with pytest.raises(
        BackendError, match="cannot read the engine of it: magic tag does not match"
    ):
        TensorRtEngine(module(Fake()), b"other", "it")
    with pytest.raises(BackendError, match="cannot prepare the engine of a block: out of memory"):
        engine(context="none")
    with pytest.raises(BackendError, match=r"input is DataType\.BF16"):
        engine(type="BF16")
    with pytest.raises(BackendError, match="inspect an engine: it gave no reason"):
        engine(inspector="none")[0].notes()


def test_a_runtime_that_does_not_start_says_why() -> None:
    class NoDevice(Fake):
        def Runtime(self, logger: Any) -> Any:
            logger.log(trt_fake.Logger.Severity.ERROR, "no CUDA-capable device is detected")
            raise TypeError("pybind11::init(): factory function returned nullptr")

    with pytest.raises(BackendError, match="cannot start its runtime: no CUDA-capable device"):
        TensorRtEngine(module(NoDevice()), PLAN, "a block")


def test_notes_name_kernels_tiles_and_formats() -> None:
    notes = engine()[0].notes()
    assert notes["tiles"] == "128x64x32"
    assert notes["reformat_layers"] == "1"
    assert notes["format_input"] == "HWC8"
    assert notes["format_output"] == "LINEAR"
    assert all(isinstance(value, str) for value in notes.values())


def test_a_report_without_details_still_has_names() -> None:
    names = ["Reformatting CopyNode for Output", "conv1"]
    found = parse(json.dumps({"Layers": names}))
    assert found == Inspection(layers=tuple(names), tactics=(), tiles=(), reformats=1)
    assert "tiles" not in found.facts()


@given(st.lists(LAYER | JSON, max_size=8))
def test_any_list_of_layers_can_be_read(layers: list[Any]) -> None:
    found = parse(json.dumps({"Layers": layers}))
    assert len(found.layers) == len(layers)
    assert 0 <= found.reformats <= len(layers)
    assert len(found.tactics) <= len(layers)
    assert all(isinstance(value, str) for value in found.facts().values())


@given(st.text() | JSON.map(json.dumps))
def test_what_is_no_report_is_refused(text: str) -> None:
    try:
        held = json.loads(text)
        listed = isinstance(held, dict) and isinstance(held.get("Layers"), list)
    except ValueError:
        listed = False
    if not listed:
        with pytest.raises(BackendError, match="must be JSON with Layers"):
            parse(text)


def test_a_report_nested_without_end_is_refused() -> None:
    with pytest.raises(BackendError, match="must be JSON with Layers"):
        parse("[" * 100_000)
    assert parse(json.dumps(REPORT)).reformats == 1


@given(
    st.lists(st.integers(1, 70), min_size=2, max_size=4),
    st.sampled_from(["fp32", "fp16", "int8"]),
    st.sampled_from(sorted(set(VECTORS.values()))),
)
def test_padding_fills_whole_vectors_and_no_more(
    shape: list[int], precision: str, vector: int
) -> None:
    plain = padded_bytes(shape, precision, 1)
    padded = padded_bytes(shape, precision, vector)
    per_channel = plain // shape[1]
    assert padded % (per_channel * vector) == 0
    assert plain <= padded < plain + per_channel * vector


def test_what_cannot_be_padded_is_refused() -> None:
    with pytest.raises(BackendError, match="must be one of fp32, fp16, int8, but got 'bf16'"):
        padded_bytes([1, 2], "bf16", 8)
    with pytest.raises(BackendError, match=r"dimension must be 0..1, but got 3"):
        padded_bytes([1, 2], "fp16", 8, 3)


def test_formats_that_we_do_not_know_are_refused() -> None:
    names = {name: number for number, name in enumerate(VECTORS)}
    trt: Any = SimpleNamespace(TensorFormat=SimpleNamespace(**names))
    tensor: Any = SimpleNamespace(allowed_formats=0)
    allow(trt, tensor, ["LINEAR", "HWC8", "HWC8"])
    assert tensor.allowed_formats == 0b101
    with pytest.raises(BackendError, match=r"must be among LINEAR, .*, but got \['CHW2'\]"):
        allow(trt, tensor, ["LINEAR", "CHW2"])
    with pytest.raises(BackendError, match="but got none"):
        allow(trt, tensor, [])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"optimization_level": 6}, r"must be 0\.\.5, but got 6"),
        ({"avg_timing_iterations": 1}, "must be >= 8, but got 1"),
        ({"workspace_bytes": 0}, "must be >= 1, but got 0"),
    ],
)
def test_settings_outside_their_range_are_refused(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(BackendError, match=message):
        Settings(**wrong)  # type: ignore[arg-type]


def test_a_workspace_that_is_not_taken_is_refused() -> None:
    class Config(SimpleNamespace):
        def clear_flag(self, flag: object) -> None: ...
        def set_memory_pool_limit(self, pool: object, size: int) -> None: ...
        def get_memory_pool_limit(self, pool: object) -> int:
            return 5

    member = SimpleNamespace(DETAILED=1, TF32=2, WORKSPACE=3)
    trt: Any = SimpleNamespace(ProfilingVerbosity=member, BuilderFlag=member, MemoryPoolType=member)
    config: Any = Config()
    with pytest.raises(BackendError, match="what TensorRT takes, which is 5"):
        Settings().apply(trt, config)


class Cached:
    """A configuration that takes timing caches as TensorRT does."""

    def __init__(self, *, refuses: bytes | None = None, gives: bytes | None = b"learnt") -> None:
        self.refuses = refuses
        self.gives = gives
        self.given: list[bytes] = []

    def create_timing_cache(self, serialized_timing_cache: bytes) -> object:
        self.given.append(serialized_timing_cache)
        return None if serialized_timing_cache == self.refuses else object()

    def set_timing_cache(self, cache: object, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        return True

    def get_timing_cache(self) -> Any:
        return SimpleNamespace(serialize=lambda: self.gives)


def cache(folder: Path, gpu: str = "NVIDIA A100", driver: str = "13.0") -> TimingCache:
    return TimingCache(folder, gpu=gpu, driver=driver, version="11.4")


def used(kept: TimingCache, config: Cached) -> Cached:
    as_config: Any = config
    log = Log(module(Fake()))
    kept.attach(as_config, log)
    kept.keep(as_config, log)
    return config


def test_a_timing_cache_comes_back_for_the_same_gpu_driver_and_version_only(tmp_path: Path) -> None:
    assert used(cache(tmp_path), Cached()).given == [b""]
    assert used(cache(tmp_path), Cached()).given == [b"learnt"]
    assert used(cache(tmp_path, gpu="NVIDIA L4"), Cached()).given == [b""]
    assert used(cache(tmp_path, driver="13.1"), Cached()).given == [b""]
    assert len(list(tmp_path.iterdir())) == 3


def test_a_timing_cache_is_not_written_again_where_nothing_was_learnt(tmp_path: Path) -> None:
    kept = cache(tmp_path)
    used(kept, Cached())
    kept.path.unlink()
    used(kept, Cached())
    assert not kept.path.exists()


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "other"])
def test_a_damaged_timing_cache_never_reaches_tensorrt(damage: str, tmp_path: Path) -> None:
    kept = cache(tmp_path)
    used(kept, Cached())
    data = kept.path.read_bytes()
    flipped = data[:DIGEST] + bytes([data[DIGEST] ^ 1]) + data[DIGEST + 1 :]
    broken = {"cut": data[:-1], "flipped": flipped, "empty": b"", "other": b"x" * 100}[damage]
    kept.path.write_bytes(broken)
    again = cache(tmp_path)
    assert "damaged" in again.facts()["timing_cache_note"]
    assert used(again, Cached()).given == [b""]
    assert cache(tmp_path).note == ""  # written anew


def test_a_timing_cache_that_tensorrt_refuses_is_begun_anew(tmp_path: Path) -> None:
    used(cache(tmp_path), Cached())
    again = cache(tmp_path)
    assert used(again, Cached(refuses=b"learnt")).given == [b"learnt", b""]
    assert "refuses" in again.note
    with pytest.raises(BackendError, match="cannot start a timing cache"):
        used(cache(tmp_path / "none"), Cached(refuses=b""))
    with pytest.raises(BackendError, match="cannot serialize its timing cache"):
        used(cache(tmp_path), Cached(gives=None))


def test_a_timing_cache_that_cannot_be_read_is_noted(tmp_path: Path) -> None:
    kept = cache(tmp_path)
    kept.path.mkdir()
    assert "ignored" in cache(tmp_path).note


def plan() -> PlanFile:
    return PlanFile(data=b"bytes", facts={"tensorrt": "11.4", "gpu": "NVIDIA A100"})


@pytest.mark.parametrize("name", ["net.engine", "net.plan"])
def test_an_engine_that_was_saved_is_loaded(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    save(plan(), path)
    assert load(path, "11.4") == plan()
    record = json.loads(beside(path).read_text(encoding="utf-8"))
    assert record["sha256"] == plan().sha256
    assert record["facts"]["gpu"] == "NVIDIA A100"
    assert sorted(file.name for file in tmp_path.iterdir()) == [name, f"{name}.json"]


def test_only_engines_that_we_built_are_loaded(tmp_path: Path) -> None:
    path = tmp_path / "net.engine"
    with pytest.raises(BackendError, match="cannot read the engine"):
        load(path, "11.4")
    save(plan(), path)
    with pytest.raises(BackendError, match=r"built by TensorRT 11\.4, but 11\.5 is here"):
        load(path, "11.5")
    path.write_bytes(b"others")
    with pytest.raises(BackendError, match=r"is not the engine that net\.engine\.json describes"):
        load(path, "11.4")
    for text in ("{}", "[]", '{"maker": "stairprune", "sha256": "0", "facts": {"a": 1}}', "3"):
        beside(path).write_text(text, encoding="utf-8")
        with pytest.raises(BackendError, match="was not written by stairprune"):
            load(path, "11.4")
    beside(path).write_text("{", encoding="utf-8")
    with pytest.raises(BackendError, match="is not JSON"):
        load(path, "11.4")


def test_an_engine_is_not_saved_where_it_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"must end with \.engine or \.plan"):
        save(plan(), tmp_path / "net.onnx")
    with pytest.raises(BackendError, match="cannot write the engine"):
        save(plan(), tmp_path / "absent" / "net.plan")


def test_an_asymmetric_file_is_refused_and_a_symmetric_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(block_model(BLOCK, 1, "int8"))
    with pytest.raises(BackendError, match=r"needs symmetric int8, .* input\.dq has uint8 \[0\]"):
        onnx_file(str(path), 1)
    path.write_bytes(block_model(BLOCK, 1, "int8", symmetric=True))
    assert callable(onnx_file(str(path), 1))


def test_zero_points_are_found_wherever_they_stand() -> None:
    model = onnx.load_from_string(block_model(BLOCK, 1, "int8", symmetric=True))
    check_symmetric(model, "it")
    (zero,) = [tensor for tensor in model.graph.initializer if tensor.name == "zero0"]
    moved = onnx.helper.make_node("Constant", [], ["zero0"], value=zero)
    model.graph.initializer.remove(zero)
    with pytest.raises(BackendError, match=r"zero point of input\.dq is not constant"):
        check_symmetric(model, "it")
    model.graph.node.insert(0, moved)
    check_symmetric(model, "it")
    moved.attribute[0].t.CopyFrom(onnx.helper.make_tensor("", onnx.TensorProto.INT8, [], [3]))
    model.graph.node[0].CopyFrom(moved)
    with pytest.raises(BackendError, match=r"input\.dq has int8 \[3\]"):
        check_symmetric(model, "it")
    for node in model.graph.node[1:]:
        del node.input[2:]
    with pytest.raises(BackendError, match=r"\.q has uint8 \[0\]"):
        check_symmetric(model, "it")
    for node in model.graph.node:
        if node.op_type == "QuantizeLinear":
            chosen = onnx.helper.make_attribute("output_dtype", onnx.TensorProto.INT8)
            node.attribute.append(chosen)
    check_symmetric(model, "it")


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="cannot read the model file"):
        onnx_file(str(tmp_path / "absent.onnx"), 1)
    (tmp_path / "broken.onnx").write_bytes(b"not a model")
    with pytest.raises(BackendError, match="is not an ONNX model"):
        onnx_file(str(tmp_path / "broken.onnx"), 1)


def fake_version(monkeypatch: pytest.MonkeyPatch, version: str) -> Any:
    flag = SimpleNamespace(STRONGLY_TYPED=1)
    trt = SimpleNamespace(__version__=version, NetworkDefinitionCreationFlag=flag)
    monkeypatch.setitem(sys.modules, "tensorrt", trt)
    return trt


def test_versions_are_told_apart_in_one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    for version, flags in (("10.13.2.6", 2), ("11.4.0.106", 0), ("12.0", 0)):
        trt = fake_version(monkeypatch, version)
        assert loading.load() is trt
        assert loading.creation_flags(trt) == flags
    fake_version(monkeypatch, "8.6.1")
    with pytest.raises(BackendError, match=r"at least 10\.0, but got 8\.6\.1"):
        loading.load()


def test_a_missing_tensorrt_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    reason = loading.unavailable() or ""
    assert "pypi.nvidia.com" in reason
    assert "\n" not in reason
    with pytest.raises(BackendError, match="cannot be imported"):
        loading.load()


def test_messages_that_say_most_come_first_and_stay_short() -> None:
    fake = Fake()
    log = Log(module(fake))
    for text in ("Cuda Runtime 35", "twice", "twice", "why\nreally", "x" * 1000):
        log.logger.log(trt_fake.Logger.Severity.ERROR, text)
    log.logger.log(trt_fake.Logger.Severity.WARNING, "a warning")
    with pytest.raises(
        BackendError, match=r"^tensorrt cannot start: twice; why really; x+$"
    ) as error:
        log.fail("start")
    assert len(str(error.value)) < 600
    log.clear()
    with pytest.raises(BackendError, match="it gave no reason"):
        log.need(None, "start")
