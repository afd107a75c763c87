"""One guard after the other: take it away, run its tests, put it back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.guards.removals import Removal
from tests.guards.verdicts import TestRun
from tests.guards.workplace import LIBRARIES, workplace


class TestsFail(Exception):
    """A named test does not pass while every guard is in its place: then nothing can be told by it."""

    # It is no test, whatever its name begins with.
    __test__ = False


@dataclass(frozen=True)
class Checked:
    """What became of one removal."""

    removal: Removal
    run: TestRun

    @property
    def noticed(self) -> bool:
        return self.run.noticed(self.removal.tests)

    @property
    def word(self) -> str:
        return "noticed" if self.noticed else "NOT NOTICED"


def check(
    original: Path,
    removals: Sequence[Removal],
    *,
    seconds: float,
    libraries: Sequence[str] = LIBRARIES,
    on_each: Callable[[Checked], None] = lambda _: None,
) -> list[Checked]:
    """Try every removal in a copy of the tree.

    Args:
        seconds: for the tests of one removal; those of the unchanged tree have that for each test.
        libraries: what most tests load, and no part of the tree.

    Raises:
        TestsFail: before anything is taken away.
        GuardMissing: the list does not fit the tree.
    """
    with workplace(original, libraries) as place:
        tests = sorted({test for removal in removals for test in removal.tests})
        whole = place.run(tests, seconds=seconds * len(tests))
        if not whole.all_passed(tests):
            bad = [f"{test}: {how}" for test in tests if (how := whole.how(test)) != "passed"]
            raise TestsFail("\n".join([whole.output, f"exit code {whole.exit_code}", *bad]))
        checked = []
        for removal in removals:
            with place.without(removal):
                checked.append(Checked(removal, place.run(removal.tests, seconds=seconds)))
            on_each(checked[-1])
    return checked
