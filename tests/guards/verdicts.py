"""What the end of a test run says: was it noticed that a guard is gone?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_TESTS_FAILED = 1
# A test that meets one of these has not met a missing guard: the text that stands in its place does not work.
_DOES_NOT_WORK = frozenset({"NameError", "ImportError", "SyntaxError", "AttributeError", "TypeError"})


@dataclass(frozen=True)
class TestRun:
    """``exit_code`` is pytest's, None where it was cut off; ``ended`` how each test did, by its node id."""

    # It is no test, whatever its name begins with.
    __test__ = False

    exit_code: int | None
    ended: Mapping[str, Mapping[str, Any]]
    seconds: float
    output: str

    def how(self, test: str) -> str:
        """In words how one test ended: "passed", "failed", or what kept it from telling anything."""
        end = self.ended.get(test)
        if self.exit_code is None and end is None:
            return "cut off"
        if end is None:
            return "not run"
        if end["phase"] != "call":
            return f"{end['outcome']} in {end['phase']}"
        broken = _DOES_NOT_WORK.intersection(end["raised"])
        if end["outcome"] == "failed" and broken:
            return f"stopped by {min(broken)}"
        return str(end["outcome"])

    def all_passed(self, tests: Sequence[str]) -> bool:
        return self.exit_code == 0 and all(self.how(test) == "passed" for test in tests)

    def noticed(self, tests: Sequence[str]) -> bool:
        """Whether every one of them was collected, set up, and failed by what it checks.

        Not in a run that was cut off: a test that hangs does not say what is wrong.
        """
        return self.exit_code == _TESTS_FAILED and all(self.how(test) == "failed" for test in tests)
