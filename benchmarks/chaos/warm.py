"""A process that has imported everything that gateways and workers import, and forks one of them for each order.

Starting Python and importing torch and transformers take ten times as long as starting a service with a tiny model. In
all else the fork is like a process of its own: environment, session, descriptors, signals, exit.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

# The imports that take long. None of them reads a setting.
import celery.apps.worker
import celery.concurrency.prefork
import peft
import psycopg
import redis
import transformers
import uvicorn

import app.main
import worker.execution
import worker.publication
from benchmarks.chaos.forked import run_command
from benchmarks.chaos.kill_points import KILL_POINTS, arm, replace_everywhere

IMPORTED = (
    app.main, celery.apps.worker, celery.concurrency.prefork, peft, psycopg, redis, transformers.LlamaForCausalLM,
    uvicorn, worker.execution, worker.publication,
)  # fmt: skip


def serve() -> None:
    """Start one process for each line of standard input, answer with its process id, and end with the input."""
    # This process does not wait for its children; the caller checks whether they live.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "w")
    # Keep the garbage collector of the children away from these objects: it would touch, and so copy, their pages.
    gc.freeze()
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            answers.close()
            become(order)
            run_command(order["arguments"])
        print(child, file=answers, flush=True)


def become(order: dict[str, Any]) -> None:
    """Become a process as if started by the command `lethe`, with the ordered kill point and clock."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    null, log = (
        os.open(os.devnull, os.O_RDONLY),
        os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND),
    )
    for descriptor, opened in ((0, null), (1, log), (2, log)):
        os.dup2(opened, descriptor)
    os.close(null)
    os.close(log)
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["folder"])
    if order["clock_seconds"]:
        _set_clock(timedelta(seconds=order["clock_seconds"]))
    for point in KILL_POINTS:
        if point.name == order["kill_point"]:
            arm(point, Path(order["kill_order"]), whole=order["whole"])


def _set_clock(ahead: timedelta) -> None:
    def shifted(utc_now: Any) -> Any:
        def now() -> datetime:
            moment: datetime = utc_now()
            return moment + ahead

        return now

    replace_everywhere("app.db.base:utc_now", shifted)


if __name__ == "__main__":
    serve()
