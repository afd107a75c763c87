"""What is particular to a store in a bucket: what the bucket must do, and what it answers."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_store import StoreFull, StoreReadOnly, StoreUnavailable, StoreUnsuitable, open_store
from model_store.s3 import S3Objects, S3Store
from model_store.s3_errors import translated
from tests.s3_server import CREDENTIALS, S3Server, lying_server
from tests.unit.model_store.examples import publish, safetensors, weights_of

REPOSITORY = Path(__file__).parents[3]


def run(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Run ``code`` in a process of its own, with ``store`` and ``objects`` of the address in the first argument."""
    preamble = """
        import os, resource, sys
        from pathlib import Path
        import model_store.s3 as s3
        from model_store import *
        from tests.unit.model_store.examples import *
        store = open_store(sys.argv[1])
        objects = store._objects
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(preamble) + textwrap.dedent(code), *map(str, arguments)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def objects_of(url: str) -> S3Objects:
    store = open_store(url)
    assert isinstance(store, S3Store)
    assert isinstance(store._objects, S3Objects)
    return store._objects


@pytest.fixture
def lying(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_a_bucket_that_replaces_what_exists_is_refused_before_anything_is_written(
    lying: pytest.MonkeyPatch,
) -> None:
    with lying_server() as endpoint:
        lying.setenv("AWS_ENDPOINT_URL", endpoint)
        objects = objects_of("s3://liar/store")
        for attempt in (
            lambda: objects.create("a/b", [b"1"]),
            lambda: objects.exists("a/b"),
            lambda: objects.delete("a/b"),
        ):
            with pytest.raises(
                StoreUnsuitable, match=r"^s3://liar/store lets 4 of 4 writers .* ignores If-None-Match"
            ) as refused:
                attempt()
            assert "\n" not in str(refused.value)
        health = objects.health()
        assert not health.writable
        assert "ignores If-None-Match" in health.detail


def test_a_bucket_that_looks_first_and_writes_then_is_refused(lying: pytest.MonkeyPatch) -> None:
    """It honours the header as long as requests come one after the other."""
    with lying_server(together=True) as endpoint:
        lying.setenv("AWS_ENDPOINT_URL", endpoint)
        with pytest.raises(StoreUnsuitable, match=r"lets [2-4] of 4 writers create one object"):
            objects_of("s3://racing/store").exists("a/b")


def test_a_bucket_that_keeps_what_is_deleted_is_refused(s3: S3Server, bucket_url: str) -> None:
    s3.make_bucket("keeper", versioned=True)
    with pytest.raises(StoreUnsuitable, match="keeps old versions"):
        open_store("s3://keeper/store").versions()


def test_nothing_counts_as_deleted_once_the_bucket_keeps_it(s3: S3Server, bucket_url: str) -> None:
    s3.make_bucket("turning")
    store = open_store("s3://turning/store")
    version = publish(store)
    s3.set_versioning("turning", "Enabled")
    with pytest.raises(StoreUnsuitable, match="keeps old versions"):
        store.destroy(version)
    assert not store.check().writable
    # The destruction is on record, and is finished by whoever comes back to it.
    s3.set_versioning("turning", "Suspended")
    blob = weights_of(store, version)
    assert store.destroy(version).deleted == (blob,)
    assert objects_of("s3://turning/store").names(f"blobs/{version}") == []


def test_a_bucket_that_refuses_writes_can_be_read(lying: pytest.MonkeyPatch) -> None:
    quoted = b"<Error><Code>AccessDenied</Code><AWSAccessKeyId>AKIAEXAMPLE</AWSAccessKeyId></Error>"
    with lying_server(PUT=(403, quoted)) as endpoint:
        lying.setenv("AWS_ENDPOINT_URL", endpoint)
        objects = objects_of("s3://refusing/store")
        assert not objects.exists("a/b")
        with pytest.raises(StoreReadOnly, match="403 Forbidden AccessDenied") as refused:
            objects.create("a/b", [b"1"])
        assert "AKIAEXAMPLE" not in str(refused.value)
        assert "AccessDenied" in objects.health().detail


def test_a_bucket_without_room_says_so(lying: pytest.MonkeyPatch) -> None:
    for status, code in ((507, b"XMinioStorageFull"), (507, b"OfAnother"), (403, b"QuotaExceeded")):
        with lying_server(PUT=(status, b"<Error><Code>" + code + b"</Code></Error>")) as endpoint:
            lying.setenv("AWS_ENDPOINT_URL", endpoint)
            with pytest.raises(StoreFull, match=f"{status} .*{code.decode()}"):
                objects_of("s3://full/store").create("a/b", [b"1"])


def test_what_is_said_to_exist_is_looked_at(lying: pytest.MonkeyPatch) -> None:
    """A conditional request that meets another one is refused, even if that one fails afterwards."""
    with lying_server(PUT=(412, b"")) as endpoint:
        lying.setenv("AWS_ENDPOINT_URL", endpoint)
        with pytest.raises(StoreUnavailable, match="is said to exist, and does not"):
            objects_of("s3://empty/store").create("a/b", [b"1"])


def test_nobody_at_the_address_and_no_bucket_are_outages(bucket_url: str, lying: pytest.MonkeyPatch) -> None:
    with pytest.raises(StoreUnavailable, match="404 Not Found NoSuchBucket"):
        open_store("s3://no-such-bucket/store").versions()
    lying.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(StoreUnavailable, match="nobody answers"):
        open_store("s3://plain/store").versions()
    assert not open_store("s3://plain/store").check().writable


def test_a_number_in_what_went_wrong_is_no_status() -> None:
    with pytest.raises(StoreUnavailable, match="nobody answers"), translated("write", "s3://plain/store"):
        raise ConnectionError("error sending request: 3 retries, 507.2 ms")


def test_asking_whether_it_can_be_written_writes_nothing(s3: S3Server, bucket_url: str) -> None:
    store = open_store(bucket_url)
    assert store.check().writable
    prefix = bucket_url.removeprefix("s3://plain/")
    before = s3.ask("GET", f"/plain?list-type=2&prefix={prefix}")
    assert store.check().writable
    assert s3.ask("GET", f"/plain?list-type=2&prefix={prefix}") == before
    assert before.count(b"<Contents>") == 1  # and of what the check of the bucket wrote, nothing


def test_what_is_large_goes_in_parts_and_is_never_held_whole(
    s3: S3Server, bucket_url: str, tmp_path: Path
) -> None:
    path = tmp_path / "weights"
    with path.open("wb") as file:
        file.write(safetensors(2**23)[:200])
        file.truncate(len(safetensors(2**23)))
    code = """
        s3.WHOLE_BYTES, s3._PART_BYTES, s3._PARTS_AT_ONCE = 5 * 2**20, 5 * 2**20, 2
        store.versions()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        version = publish(store, Path(sys.argv[2]))
        assert publish(store, Path(sys.argv[2])) == version
        store.save_blob(version, weights_of(store, version), Path(sys.argv[3]))
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
    """
    printed = run(code, bucket_url, path, tmp_path / "saved").communicate(timeout=120)[0]
    assert (tmp_path / "saved").read_bytes() == path.read_bytes()
    assert int(printed) < 30  # MiB, of 32


def test_who_is_killed_while_a_large_object_goes_up_leaves_nothing_that_can_be_read(
    s3: S3Server, bucket_url: str
) -> None:
    code = """
        def half():
            for _ in range(32):
                yield bytes(2**20)
            print("half", flush=True)
            sys.stdin.readline()
        objects.create("blobs/v/d", half())
    """
    process = run(code, bucket_url)
    assert process.stdout is not None
    assert process.stdout.readline() == "half\n"
    process.kill()
    process.communicate(timeout=60)
    objects = objects_of(bucket_url)
    assert not objects.exists("blobs/v/d")
    assert objects.names("blobs") == []
    # Its parts stay, where no key leads to them, until the bucket's rule for unfinished uploads removes them.
    assert s3.uploads("plain") == 1
    assert objects.create("blobs/v/d", [b"whole"])


def test_a_large_object_that_breaks_off_is_given_up(s3: S3Server, bucket_url: str) -> None:
    before = s3.uploads("plain")

    def broken() -> Iterator[bytes]:
        for _ in range(20):
            yield bytes(2**20)
        raise KeyError("the source has ended")

    objects = objects_of(bucket_url)
    with pytest.raises(KeyError, match="the source has ended"):
        objects.create("blobs/v/d", broken())
    assert not objects.exists("blobs/v/d")
    assert s3.uploads("plain") == before


def test_the_child_of_a_process_that_used_the_store_is_told_instead_of_hanging(bucket_url: str) -> None:
    code = """
        store.versions()
        if os.fork() == 0:
            try:
                open_store(sys.argv[1]).versions()
            except StoreUnavailable as error:
                print(error, flush=True)
            os._exit(0)
        os.wait()
    """
    printed = run(code, bucket_url).communicate(timeout=60)[0]
    assert "forked from one that had used the store" in printed
