"""A plugin for pytest that collects the tests once and then runs them against every mutant, each in a fork."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import random
import resource
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.mutation.grafting import graft
from tests.mutation.mutants import Mutant, mutants
from tests.mutation.targets import ROOT, TARGETS, module_of

# Of processor time, so that a busy machine changes nothing: a mutant that needs more does not end.
_SECONDS = 60
# Of a file's mutants, whatever the share.
_AT_LEAST = 20
_SURVIVED, _KILLED, _BROKEN = 0, 1, 2


@dataclass(frozen=True)
class Tried:
    """What became of the mutants of one file; of ``all`` of them those that were drawn were tried."""

    file: str
    all: int
    drawn: int
    survivors: tuple[Mutant, ...]


class Trying:
    """The plugin. ``tried`` and ``failing`` are there once pytest has ended."""

    def __init__(self, files: Sequence[str], share: float, seed: int, known: dict[str, bool]) -> None:
        """
        Args:
            share: of the mutants of each file, drawn with this seed.
            known: by content, which mutants were noticed in an earlier run; added to.
        """
        self._files, self._share, self._seed, self._known = files, share, seed, known
        # As they are when the tests are collected: whoever writes meanwhile must not change what the cache says.
        self._texts = {path: _text(path) for file in files for path in (file, *TARGETS[file])}
        self.tried: list[Tried] = []
        # The files whose tests do not pass as they are: nothing can be told by them.
        self.failing: list[str] = []

    def pytest_collection_finish(self) -> None:
        # Imported here and not above: before pytest has begun it would be too early for its plugin.
        from hypothesis import settings

        # The same examples for every mutant, and none of a mutant's kept for later runs.
        profile = settings(settings.get_profile("any-machine"), database=None, derandomize=True)
        settings.register_profile("mutation", profile)
        settings.load_profile("mutation")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        for file in self._files:
            items = [item for item in session.items if _file_of(item) in TARGETS[file]]
            source = self._texts[file]
            if not items or _outcome(session, items, file, source)[0] != _SURVIVED:
                self.failing.append(file)
                continue
            self.tried.append(self._try(session, file, source, items))
            one = self.tried[-1]
            print(f"{file}: {one.drawn - len(one.survivors)} of {one.drawn} noticed", flush=True)
        return True

    def _try(self, session: pytest.Session, file: str, source: str, items: list[pytest.Item]) -> Tried:
        found = mutants(source)
        count = min(len(found), max(_AT_LEAST, round(len(found) * self._share)))
        drawn = sorted(random.Random(self._seed).sample(range(len(found)), count))
        tests = "".join(self._texts[path] for path in TARGETS[file])
        survivors = []
        for mutant in (found[index] for index in drawn):
            key = hashlib.sha256(json.dumps([file, mutant.source, tests]).encode()).hexdigest()
            if key not in self._known:
                outcome, by = _outcome(session, items, file, mutant.source)
                self._known[key] = outcome != _SURVIVED
                if by:
                    # What noticed one mutant often notices the next.
                    items.sort(key=lambda item: item.nodeid != by)
            if not self._known[key]:
                survivors.append(mutant)
                print(f"  survived {file}:{mutant.line}  {mutant.what}", flush=True)
        return Tried(file, len(found), len(drawn), tuple(survivors))


def _text(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def _file_of(item: pytest.Item) -> str:
    return item.path.relative_to(ROOT).as_posix()


def _outcome(
    session: pytest.Session, items: Sequence[pytest.Item], file: str, source: str
) -> tuple[int, str]:
    """How the tests end with this text in place of the file, and the test that failed first."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _end(session, items, file, source, writing)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as pipe:
        by = pipe.read()
    _, status = os.waitpid(child, 0)
    # Whatever ends the process by force was not asked for by a test that passes.
    return os.waitstatus_to_exitcode(status), by


def _end(session: pytest.Session, items: Sequence[pytest.Item], file: str, source: str, told: int) -> None:
    """In the child: never returns."""
    outcome = _BROKEN
    try:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
        graft(importlib.import_module(module_of(file)), source)
        outcome = _run(session, items, told)
    finally:
        os._exit(outcome)


def _run(session: pytest.Session, items: Sequence[pytest.Item], told: int) -> int:
    for item, following in zip(items, [*items[1:], None], strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.testsfailed:
            os.write(told, item.nodeid.encode())
            return _KILLED
    return _SURVIVED


def run(files: Sequence[str], *, share: float, seed: int, cache: Path | None) -> Trying:
    """Try the mutants of these files.

    Args:
        cache: where outcomes are kept by content; None to try every one anew.
    """
    known = _read(cache)
    trying = Trying(files, share, seed, known)
    tests = sorted({test for file in files for test in TARGETS[file]})
    options = ["-q", "-s", "-p", "no:cacheprovider", f"--rootdir={ROOT}"]
    try:
        pytest.main([*options, *(str(ROOT / test) for test in tests)], plugins=[trying])
    finally:
        if cache is not None:
            # Another run may have ended meanwhile.
            cache.write_text(json.dumps(_read(cache) | known), encoding="utf-8")
    return trying


def _read(cache: Path | None) -> dict[str, bool]:
    if cache is None or not cache.exists():
        return {}
    known: dict[str, bool] = json.loads(cache.read_text(encoding="utf-8"))
    return known
