"""A store that is read-only or full: a clear word, nothing half-written, and reading goes on.

Both conditions are real ones, made in a child process: a user without write permission (root is above
permissions, so the child gives up being root), and the file size limit of the operating system.
"""

import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_store import LocalStore, StoreFull, StoreReadOnly, StoreUnavailable
from model_store.filesystem_errors import translated
from tests.unit.model_store.examples import entry, publish, safetensors

REPOSITORY = Path(__file__).parents[3]
NOBODY = 65534


def run(code: str, *arguments: object) -> str:
    preamble = """
        import os, resource, sys
        from pathlib import Path
        from model_store import *
        from tests.unit.model_store.examples import *
        def attempt(action):
            try:
                action()
            except StoreError as error:
                print(type(error).__name__, error)
            else:
                print("done")
    """
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(preamble) + textwrap.dedent(code), *map(str, arguments)],
        cwd=REPOSITORY,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
    ).stdout


@pytest.fixture
def read_only_root() -> Iterator[Path]:
    """A store with one version and one journal entry that only its owner may change, and nobody does."""
    # Not under tmp_path, whose parents are closed to other users.
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "store"
        store = LocalStore(root)
        store.append_journal(entry())
        publish(store)
        for path in (Path(folder), root, *root.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        yield root
        for path in (Path(folder), root, *root.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)


def test_a_read_only_store_reads_and_says_why_it_does_not_write(read_only_root: Path) -> None:
    become = f"os.getuid() == 0 and os.setuid({NOBODY})\n"
    before = sorted(read_only_root.rglob("*"))
    output = run(
        become
        + textwrap.dedent("""
        store = LocalStore(sys.argv[1])
        version = store.versions()[0]
        assert read_version(store, version)[1]["adapter_model.safetensors"] == safetensors()
        assert list(store.journal()) == [entry()]
        attempt(lambda: publish(store))
        attempt(lambda: publish(store, safetensors(5)))
        attempt(lambda: store.append_journal(entry(2)))
        attempt(lambda: publish(store, forget_epoch=9))
        attempt(lambda: store.destroy(version))
        attempt(lambda: LocalStore(sys.argv[1] + "/below"))
        health = store.check()
        print(health.writable, health.free_bytes > 0, health.detail)
        """),
        read_only_root,
    ).splitlines()
    assert output[0] == "done"  # what is there already needs no writing
    for line in output[1:6]:
        assert line.startswith("StoreReadOnly cannot ")
        assert "give this process's user read and write access" in line
    assert output[6].startswith("False True cannot write")
    assert sorted(read_only_root.rglob("*")) == before


def test_a_full_store_says_so_and_keeps_what_it_has(tmp_path: Path) -> None:
    output = run(
        """
        store = LocalStore(sys.argv[1])
        version = publish(store)
        (tmp := Path(sys.argv[1]).parent / "large").write_bytes(safetensors(1_000_000))
        resource.setrlimit(resource.RLIMIT_FSIZE, (64, resource.RLIM_INFINITY))
        attempt(lambda: publish(store, safetensors(9)))
        attempt(lambda: store.append_journal(entry()))
        attempt(lambda: publish(store, forget_epoch=9))
        attempt(lambda: publish(store, tmp))
        attempt(lambda: publish(store))
        assert read_version(store, version)
        """,
        tmp_path / "store",
    ).splitlines()
    for line in output[:4]:
        assert line.startswith("StoreFull cannot write ")
        assert "ulimit -f" in line
    assert output[4] == "done"
    assert list(tmp_path.rglob(".writing-*")) == []
    store = LocalStore(tmp_path / "store")
    assert len(store.versions()) == 1
    assert list(store.journal()) == []


def test_what_failed_for_want_of_room_succeeds_once_there_is_some(tmp_path: Path) -> None:
    output = run(
        """
        store = LocalStore(sys.argv[1])
        resource.setrlimit(resource.RLIMIT_FSIZE, (8, resource.RLIM_INFINITY))
        attempt(lambda: publish(store))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        attempt(lambda: publish(store))
        """,
        tmp_path,
    ).splitlines()
    assert output[0].startswith("StoreFull")
    assert output[1] == "done"


def test_a_full_disk_is_told_apart_by_the_operating_systems_own_word() -> None:
    full = Path("/dev/full")
    with pytest.raises(StoreFull, match="the disk is full"), translated("write", full):
        full.write_bytes(b"x")


def test_a_place_that_permits_no_folders_is_read_only() -> None:
    with pytest.raises(StoreReadOnly, match="cannot create the folder /sys/"):
        LocalStore("/sys/lethe-store")


def test_what_the_operating_system_says_otherwise_is_passed_on() -> None:
    with (
        pytest.raises(StoreUnavailable, match=r"cannot open .*No such device or address"),
        translated("open", Path("x")),
    ):
        raise OSError(6, "No such device or address")


def test_absence_is_the_callers_to_judge_only_on_request(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), translated("read", tmp_path, absence=True):
        (tmp_path / "nothing").read_bytes()
    with pytest.raises(StoreUnavailable), translated("read", tmp_path):
        (tmp_path / "nothing").read_bytes()


def test_an_example_is_larger_than_the_limits_used_here() -> None:
    assert len(safetensors()) > 64
