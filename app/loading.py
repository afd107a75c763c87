"""Loading libraries without looking for garbage meanwhile."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Around the imports that a process begins with.

    torch and transformers make a million objects that stay. The collector looks through all of them again and again
    while they load, which is a fifth of the start; and with every full collection later, which stops all threads for a
    quarter of a second. Where nothing is left to load, nothing is exempt: what the process has made since may go.
    """
    was_on, modules = gc.isenabled(), len(sys.modules)
    gc.disable()
    try:
        yield
    finally:
        if len(sys.modules) > modules:
            gc.freeze()
        if was_on:
            gc.enable()
