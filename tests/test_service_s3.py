"""Stored files in an object store: a job's files go there and come back, and what can go wrong."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest
import s3fs
from jobs_bucket import bucket
from jobs_stores import opened as store_in
from service_server import modelled, served

from jobs import users
from jobs.artifacts import Artifacts
from jobs.errors import StoreCorruptError, StoreError, StoreUnavailableError
from jobs.files import opened
from service.instance import open_instance


def test_a_jobs_files_lie_in_the_bucket_and_come_back_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = bucket(monkeypatch)
    instance = open_instance(tmp_path / "home", artifacts=address)
    users.ensure(instance.database, "ann", most_running=100, most_open=100)
    token = users.create_token(instance.database, "ann")
    with served(instance, token, work=True) as server, server.client() as client:
        job = client.submit(spec=modelled(), until="search").id
        assert [event.kind for event in client.events(job)][-1] == "succeeded"
        files = {file.name: file for file in client.files(job)}
        client.download(files["table.json"].artifact, tmp_path / "table.json")
        whole = (tmp_path / "table.json").read_bytes()
        path = f"{server.address}/api/v1/artifacts/{files['table.json'].artifact}"
        headers = {"Authorization": f"Bearer {token}", "Range": "bytes=10-29"}
        assert httpx2.get(path, headers=headers).content == whole[10:30]
        assert client.candidates(job).candidates
    assert not (tmp_path / "home" / "artifacts").exists()
    assert len(list(opened(address).older(-60))) >= 4
    instance.database.close()


def test_an_object_that_changed_or_went_is_not_handed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_in(f"sqlite:///{tmp_path / 'store.db'}", "ann")
    files = Artifacts(store, bucket(monkeypatch))
    (tmp_path / "a").write_text("right")
    digest = files.put(tmp_path / "a")
    (tmp_path / "b").write_text("wrong")
    files.files.keep(tmp_path / "b", digest)
    with pytest.raises(StoreCorruptError, match="bytes are not what was stored"):
        files.copy(digest, tmp_path / "copy")
    assert list(tmp_path.glob("copy*")) == []
    files.files.remove(digest)
    with pytest.raises(StoreCorruptError, match="its file is gone"):
        files.open(digest)
    assert files.put(tmp_path / "a") == digest
    with files.open(digest) as file:
        assert file.read() == b"right"
    store.close()


def test_a_store_that_is_away_or_unknown_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreError, match="files cannot lie at nosuch://") as told:
        opened("nosuch://bucket/path")
    assert "\n" not in str(told.value)
    store = store_in(f"sqlite:///{tmp_path / 'store.db'}", "ann")
    (tmp_path / "a").write_text("right")
    Artifacts(store, address := bucket(monkeypatch)).put(tmp_path / "a")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # nobody listens
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(StoreUnavailableError, match=r"s3://.* does not answer"):
        Artifacts(store, address).put(tmp_path / "a")
    store.close()
