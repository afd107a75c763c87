"""Loading libraries without looking for garbage meanwhile."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading() -> Iterator[None]:
    """Around the imports that a process begins with.

    torch and transformers make a million objects that stay. The collector looks through all of them again and again
    while they load, which is a fifth of the start; and with every full collection later, which delays an answer.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()
