"""The whole path with the store in a bucket and the database in PostgreSQL: suppressed, uploaded, killed, destroyed."""

from __future__ import annotations

import csv
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_store import VersionDestroyed, open_store
from tests.acceptance.installation import (
    Installation,
    Size,
    children_of,
    completed,
    empty_folder,
    put_file,
    run_of,
    wait_until,
)
from tests.postgres_server import PostgresServer
from tests.s3_server import S3Server, s3_server

STORE = "s3://weights/lethe"


@pytest.fixture(scope="module")
def bucket() -> Iterator[S3Server]:
    with s3_server() as server:
        server.make_bucket("weights")
        yield server


@pytest.fixture(scope="module")
def installed(
    bucket: S3Server,
    postgres: PostgresServer,
    small_data: Path,
    base_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Installation]:
    root = tmp_path_factory.mktemp("bucket")
    messages, database_url = root / "broker", postgres.create()
    size = Size(
        "bucket",
        database_url,
        f"filesystem://{messages}",
        lambda: empty_folder(messages / "messages"),
        lambda message: put_file(messages / "messages", message),
    )
    made = Installation(root, size, base_folder, extra={"LETHE_STORE_URL": STORE, **bucket.environment})
    made.set_up(small_data, epochs=4)
    yield made
    made.stop()
    postgres.drop(database_url)


def test_a_person_is_forgotten_and_the_old_weights_leave_the_bucket(
    installed: Installation, bucket: S3Server, small_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (small_data / "interactions.csv").open() as file:
        user = next(csv.DictReader(file))["user_id"]
    installed.start_gateway()
    with installed.client() as client:
        old = client.get("/adapters").json()["live"]
        accepted = client.post(f"/users/{user}/forget")
        assert accepted.status_code == 202
        during = client.get("/recommend", params={"user_id": user}).json()
        assert during["fallback_reason"] == "suppressed"
        worker = installed.start("worker")
        # The bucket stops answering while the worker stores what it has made, and the worker is killed there.
        wait_until(
            lambda: worker.log.exists() and "run.claimed" in worker.log.read_text(), 120, what="a claim"
        )
        os.kill(bucket.process.pid, signal.SIGSTOP)
        try:
            for process in (worker.popen.pid, *children_of(worker.popen.pid)):
                os.kill(process, signal.SIGKILL)
        finally:
            os.kill(bucket.process.pid, signal.SIGCONT)
        installed.start("worker")
        request = completed(client, accepted.headers["Location"])
        assert request["outcome"] == "erased"
        adapters = client.get("/adapters").json()
        assert adapters["live"] == run_of(client, request)["version"] != old
        assert next(one for one in adapters["versions"] if one["digest"] == old)["destroyed_at"]
    # The proof is in the bucket: a tombstone, and nothing under the old version's name.
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    store = open_store(STORE)
    assert store.is_destroyed(old)
    with pytest.raises(VersionDestroyed):
        store.read_blob(old, store.read_manifest(old).blobs["adapter_model.safetensors"].digest)
    listed = bucket.ask("GET", "/weights?list-type=2&prefix=lethe/blobs/").decode()
    assert old not in listed
    assert adapters["live"] in listed
    assert store.journal_epochs() == [1]
    assert bucket.uploads("weights") == 0
    checked = installed.lethe("store", "check", "--json")
    assert '"findings": []' in checked.stdout
    assert installed.lethe("audit", "verify").stdout.strip() == "the audit chain holds"
