"""A check that breaks is a finding, and tells no value."""

from __future__ import annotations

import pytest

from cli.doctor.examination import _look
from cli.doctor.findings import Finding, State


@pytest.mark.parametrize("kind", [KeyError, PermissionError, RuntimeError])
def test_a_check_that_breaks_is_a_failure_named_by_its_kind(kind: type[Exception]) -> None:
    def breaks() -> Finding:
        raise kind("hush")

    (found,) = _look("broker", breaks)
    assert (found.check, found.state) == ("broker", State.FAILURE)
    assert kind.__name__ in found.found
    assert "hush" not in found.line()
