"""The run folder: nothing half-written is ever taken for a result, nothing finished is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.store import RunError, RunFolder, read_json, write_json


def test_a_stage_is_finished_only_for_its_key_and_with_its_files(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    folder = run.open("search", "key-one")
    write_json(folder / "result.json", {"x": 1})
    assert run.finished("search", "key-one") is None
    files = run.finish("search", "key-one", ["result.json"], 1.0)
    assert run.finished("search", "key-one") == files
    assert run.finished("search", "key-two") is None


def test_changed_files_are_refused_not_trusted(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    folder = run.open("search", "key")
    write_json(folder / "result.json", {"x": 1})
    run.finish("search", "key", ["result.json"], 1.0)
    write_json(folder / "result.json", {"x": 2})
    with pytest.raises(RunError, match=r"result\.json: changed"):
        run.finished("search", "key")


def test_results_of_other_inputs_are_set_aside_and_come_back(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    write_json(run.open("search", "a" * 64) / "result.json", {"x": 1})
    first = run.finish("search", "a" * 64, ["result.json"], 1.0)
    again = run.open("search", "b" * 64)
    assert not (again / "result.json").exists()
    run.open("search", "a" * 64)
    assert run.finished("search", "a" * 64) == first
    assert read_json(tmp_path / "search" / "result.json") == {"x": 1}


def test_an_interrupted_stage_keeps_its_folder(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    (run.open("profile", "key") / "journal").write_text("row\n")
    assert (run.open("profile", "key") / "journal").read_text() == "row\n"


def test_one_process_per_run(tmp_path: Path) -> None:
    with (
        RunFolder(tmp_path).lock(),
        pytest.raises(RunError, match="another stairprune process"),
    ):
        RunFolder(tmp_path).lock()


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"x": 1})
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"x": float("nan")})
    assert read_json(path) == {"x": 1}


def test_a_run_is_free_again_after_its_work(tmp_path: Path) -> None:
    first = RunFolder(tmp_path)
    with first.lock(), pytest.raises(RunError, match="another stairprune process"):
        RunFolder(tmp_path).lock()
    with RunFolder(tmp_path).lock():
        pass
