"""Putting a mutant in the place of a module that is loaded, so that nothing has to be loaded again.

Everybody who has imported a function of the module holds that very function: its code is exchanged, not the function.
"""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from tempfile import NamedTemporaryFile
from types import FunctionType, ModuleType
from typing import Any

_PLAIN = (bool, int, float, str, tuple)


def graft(module: ModuleType, source: str) -> None:
    """Let this module do what `source` says. There is no way back: call it in a process of its own."""
    assert module.__file__ is not None
    with NamedTemporaryFile("w", suffix=".py", encoding="utf-8") as file:
        file.write(source)
        file.flush()
        spec = spec_from_file_location(module.__name__, file.name)
        assert spec is not None
        assert spec.loader is not None
        fresh = module_from_spec(spec)
        spec.loader.exec_module(fresh)
    _exchange(module, vars(fresh), module.__name__)


def _exchange(holder: Any, fresh: dict[str, Any], module: str) -> None:
    for name, new in fresh.items():
        old = vars(holder).get(name)
        if isinstance(new, property):
            _exchange_code(old.fget if isinstance(old, property) else None, new.fget)
        elif isinstance(new, classmethod | staticmethod):
            _exchange_code(getattr(old, "__func__", None), new.__func__)
        elif isinstance(new, FunctionType):
            if new.__module__ == module:
                _exchange_code(old, new)
        elif isinstance(new, type):
            if new.__module__ == module:
                _exchange(old, dict(vars(new)), module)
        elif isinstance(new, _PLAIN) and not name.startswith("__") and old != new:
            setattr(holder, name, new)


def _exchange_code(old: Any, new: Any) -> None:
    if isinstance(old, FunctionType) and old.__code__.co_freevars == new.__code__.co_freevars:
        old.__code__, old.__defaults__ = new.__code__, new.__defaults__
        old.__kwdefaults__ = new.__kwdefaults__
