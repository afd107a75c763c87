"""A process that has imported what the commands import, and forks once per command.

Python, torch and transformers take ten times as long to start as most commands that the tests run. Everything else is
as in a process of its own: environment, session, folder, descriptors, signals, exit.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from typing import Any

# What takes its time. Nothing here reads a setting.
import alembic.command
import celery.apps.worker
import celery.concurrency.prefork
import peft
import psycopg
import redis
import transformers
import uvicorn

import app.db.schema
import app.main
import recommender
import unlearning
import worker.publication
from benchmarks.chaos.forked import run_command

IMPORTED = (
    alembic.command, app.db.schema, app.main, celery.apps.worker, celery.concurrency.prefork, peft, psycopg,
    recommender, redis, transformers.LlamaForCausalLM, unlearning, uvicorn, worker.publication,
)  # fmt: skip


def serve() -> None:
    """Answer each line of standard input with one line, until there is none.

    An order to start a command is answered with the number of its process; the question how a process ended with its
    exit code, or with null while it runs.
    """
    answers = os.fdopen(os.dup(1), "w")
    # No child has to look through, and copy, what is there for good.
    gc.freeze()
    for line in sys.stdin:
        order = json.loads(line)
        if "ended" in order:
            print(json.dumps(_exit_code(order["ended"])), file=answers, flush=True)
            continue
        child = os.fork()
        if child == 0:
            answers.close()
            become(order)
            run_command(order["arguments"])
        print(child, file=answers, flush=True)


def _exit_code(process: int) -> int | None:
    ended, status = os.waitpid(process, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def become(order: dict[str, Any]) -> None:
    """Turn into a process that was started as `lethe`."""
    os.setsid()
    # A command that has not ended by then is killed, and its test sees the signal.
    signal.alarm(order["seconds"] or 0)
    for descriptor, path in ((0, os.devnull), (1, order["output"]), (2, order["errors"])):
        opened = os.open(
            path, os.O_RDONLY if descriptor == 0 else os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666
        )
        os.dup2(opened, descriptor)
        os.close(opened)
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["folder"])


if __name__ == "__main__":
    serve()
