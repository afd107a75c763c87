"""A run that is told to stop, also where Python drops what the signal raises."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator

import pytest

from worker.stopping import _CHILD_SIGNAL, end_run_when_told, ignore_what_is_told_again


@pytest.fixture
def told() -> Iterator[None]:
    handler, hook = signal.getsignal(_CHILD_SIGNAL), sys.unraisablehook
    end_run_when_told()
    yield
    signal.signal(_CHILD_SIGNAL, handler)
    sys.unraisablehook = hook


def tell() -> None:
    os.kill(os.getpid(), _CHILD_SIGNAL)


class Collected:
    def __del__(self) -> None:
        tell()


@pytest.mark.usefixtures("told")
def test_what_is_dropped_while_something_is_collected_is_told_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Collected()
    assert capsys.readouterr().err == ""
    with pytest.raises(SystemExit):
        tell()
    # Until somebody has caught it.
    with pytest.raises(SystemExit):
        tell()
    ignore_what_is_told_again()
    tell()
