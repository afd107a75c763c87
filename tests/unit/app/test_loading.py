import gc
import sys
from types import ModuleType

import pytest

from app.loading import loading


class Cycle:
    def __init__(self) -> None:
        self.itself = self


def test_the_collector_rests_and_what_was_loaded_is_left_alone_for_good(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frozen = gc.get_freeze_count()
    with loading():
        assert not gc.isenabled()
        kept = [Cycle() for _ in range(1000)]
        monkeypatch.setitem(sys.modules, "a_module_of_these", ModuleType("a_module_of_these"))
    assert gc.isenabled()
    assert gc.get_freeze_count() >= frozen + len(kept)


def test_where_all_is_loaded_what_was_made_since_may_go() -> None:
    frozen = gc.get_freeze_count()
    with loading():
        import json  # noqa: F401
    assert gc.get_freeze_count() <= frozen


def test_it_works_again_after_a_library_that_cannot_be_loaded() -> None:
    with pytest.raises(ImportError), loading():
        raise ImportError
    assert gc.isenabled()


def test_who_has_turned_it_off_keeps_it_off() -> None:
    gc.disable()
    try:
        with loading():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
