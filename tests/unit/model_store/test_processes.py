"""Several processes on one store, some of them killed in the middle of a write."""

import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from model_store import ADAPTER_WEIGHTS, JournalConflict, LocalStore, read_version
from tests.unit.model_store.examples import entry, publish, safetensors

REPOSITORY = Path(__file__).parents[3]


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Run ``code`` in a process of its own; it finds the store's classes and examples imported."""
    preamble = """
        import os, sys
        from model_store import *
        from tests.unit.model_store.examples import *
        store = LocalStore(sys.argv[1])
    """
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(preamble) + textwrap.dedent(code), *map(str, arguments)],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def together(processes: list[subprocess.Popen[str]]) -> list[str]:
    """Wait until all stand at the line, let them go at once, and return what each printed."""
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=60)[0].strip() for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes)
    return outputs


READY = "print('ready', flush=True); sys.stdin.readline()\n"


def test_two_processes_may_put_the_same_things(tmp_path: Path) -> None:
    code = READY + "print(*sorted({publish(store, safetensors(size)) for size in range(1, 21)}))"
    one, other = together([start(code, tmp_path) for _ in range(2)])
    assert one == other
    store = LocalStore(tmp_path)
    assert store.versions() == one.split()
    for version in store.versions():
        read_version(store, version)
    assert list(tmp_path.rglob(".writing-*")) == []


def test_each_epoch_is_won_by_one_process(tmp_path: Path) -> None:
    code = READY + textwrap.dedent("""
        won = []
        for epoch in range(1, 41):
            try:
                store.append_journal(entry(epoch, subject=sys.argv[2] * 64))
                won.append(epoch)
            except JournalConflict:
                pass
        print(*won)
    """)
    one, other = ({int(item) for item in out.split()} for out in together(
        [start(code, tmp_path, letter) for letter in "ab"]
    ))  # fmt: skip
    assert one | other == set(range(1, 41))
    assert one & other == set()
    assert {item.epoch for item in LocalStore(tmp_path).journal() if item.subject_hmac == "a" * 64} == one


def test_publishing_destroying_and_sweeping_do_not_cross(tmp_path: Path) -> None:
    """Two processes destroy versions and sweep while another publishes versions of the same content.

    Whatever the order, a version that was published and not destroyed can be read.
    """
    store = LocalStore(tmp_path)
    first = [publish(store, forget_epoch=epoch) for epoch in range(15)]
    destroy = READY + textwrap.dedent("""
        for version in sys.argv[2:]:
            store.destroy(version)
            store.delete_orphans()
    """)
    put = READY + textwrap.dedent("""
        for epoch in range(100, 130):
            try:
                print(publish(store, forget_epoch=epoch))
            except PublicationSwept:
                pass  # the caller publishes it as another version
    """)
    *_, published = together(
        [start(destroy, tmp_path, *first), start(destroy, tmp_path, *first), start(put, tmp_path)]
    )
    assert all(store.is_destroyed(version) for version in first)
    for version in published.split():
        assert read_version(store, version)[0].forget_epoch >= 100
    store.delete_orphans()
    for folder in (tmp_path / "blobs").iterdir():
        assert not list(folder.iterdir()) or folder.name in store.versions()


@pytest.mark.parametrize("written", [0, 1, 3_000_000])
def test_a_writer_that_dies_in_the_middle_leaves_nothing_to_see(tmp_path: Path, written: int) -> None:
    """The kernel kills the child at an exact byte: past the file size limit, SIGXFSZ ends a process at once."""
    code = """
        import resource, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
        publish(store, safetensors(1_250_000))
    """
    process = start(code, tmp_path, written)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGXFSZ
    left = list(tmp_path.rglob(".writing-*"))
    assert [path.stat().st_size for path in left] == [written]

    store = LocalStore(tmp_path)
    assert store.versions() == []
    version = publish(store, safetensors(1_250_000))
    assert read_version(store, version)[1] == {ADAPTER_WEIGHTS: safetensors(1_250_000)}


def test_writers_killed_at_any_moment_leave_whole_objects_or_none(tmp_path: Path) -> None:
    code = """
        print("ready", flush=True)
        for epoch in range(1, 100_000):
            publish(store, safetensors(epoch), forget_epoch=epoch)
            store.append_journal(entry(epoch))
    """
    for moment in (0.0, 0.01, 0.02, 0.05, 0.1):
        process = start(code, tmp_path)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(moment)
        process.kill()
        process.communicate(timeout=60)
    store = LocalStore(tmp_path)
    epochs = sorted(read_version(store, version)[0].forget_epoch for version in store.versions())
    assert epochs == list(range(1, len(epochs) + 1))
    journal = [item.epoch for item in store.journal()]
    assert journal == list(range(1, len(journal) + 1))
    assert 0 <= len(epochs) - len(journal) <= 1


@pytest.mark.parametrize("after", ["create", "delete"])
def test_a_process_killed_while_it_destroys_holds_up_nobody(tmp_path: Path, after: str) -> None:
    store = LocalStore(tmp_path)
    version = publish(store)
    code = f"""
        real = store._objects.{after}
        def stop(*arguments):
            real(*arguments)
            print("ready", flush=True)
            sys.stdin.readline()
        store._objects.{after} = stop
        store.destroy(sys.argv[2])
    """
    destroyer = start(code, tmp_path, version)
    assert destroyer.stdout is not None
    assert destroyer.stdout.readline() == "ready\n"
    # What it has said stands, and what it has not done is done by whoever comes next, while it still sleeps.
    assert store.is_destroyed(version)
    other = publish(store, forget_epoch=9)
    store.destroy(version)
    assert list((tmp_path / "blobs" / version).iterdir()) == []
    destroyer.kill()
    destroyer.communicate(timeout=60)
    assert store.delete_orphans() == ()
    assert read_version(store, other)


def test_an_epoch_taken_in_another_process_is_a_conflict_here(tmp_path: Path) -> None:
    together([start(READY + "store.append_journal(entry(1, subject='a' * 64))", tmp_path)])
    store = LocalStore(tmp_path)
    with pytest.raises(JournalConflict):
        store.append_journal(entry(1, subject="b" * 64))
