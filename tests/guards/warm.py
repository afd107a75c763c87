"""A process that has loaded the libraries, and forks for every run: loading them takes longer than most tests.

Of the tree under test it has loaded nothing, so that each fork reads what stands there then. Copied beside the tree,
and run as a script: it imports nothing of ours. Reads one run a line from its standard input, as JSON, and answers each
with the process that it runs in, and then with its exit code.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from contextlib import suppress
from typing import Any

import pytest


def main(libraries: list[str]) -> None:
    for library in libraries:
        with suppress(ImportError):
            importlib.import_module(library)
    for line in sys.stdin:
        run = json.loads(line)
        child = os.fork()
        if child == 0:
            sys.exit(_run(run))
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _run(run: dict[str, Any]) -> int:
    # A group of its own: what the tests have started can be ended with them.
    os.setsid()
    # A shell that started all this in the background has it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(run["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for place, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(place, target)
    os.chdir(run["folder"])
    # What is loaded already cannot be rewritten, and is nobody's test.
    quiet = ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    return int(pytest.main([*quiet, *run["arguments"]]))


if __name__ == "__main__":
    main(sys.argv[1:])
