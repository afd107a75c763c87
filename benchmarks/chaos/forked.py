"""A command of ours in a process that was forked from one that has imported what it needs."""

from __future__ import annotations

import atexit
import os
import runpy
import sys
import threading
from typing import NoReturn


def run_command(arguments: list[str]) -> NoReturn:
    """Run `lethe` with these arguments, and end as a process of its own would.

    Threads are waited for, exit handlers called and output flushed. Objects are not let go of one by one: each of them
    would be copied first, which takes longer than most commands do. A command that ends by an exception ends the slow
    way.
    """
    sys.argv = ["lethe", *arguments]
    code: object = None
    try:
        runpy.run_module("cli.main", run_name="__main__")
    except SystemExit as ended:
        code = ended.code
    if isinstance(code, str):
        print(code, file=sys.stderr)
    # As the interpreter does it, which has no public names for it.
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001
    atexit._run_exitfuncs()  # noqa: SLF001
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))
