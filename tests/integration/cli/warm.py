"""A process that has imported what the commands import, and forks once per command.

Python, torch and transformers take ten times as long to start as most commands that the tests run. Everything else is
as in a process of its own: environment, folder, descriptors, exit.
"""

from __future__ import annotations

import gc
import json
import os
import runpy
import signal
import sys
from typing import Any

# What takes its time. Nothing here reads a setting.
import alembic.command
import celery.apps.worker
import peft
import psycopg
import transformers
import uvicorn

import app.db.schema
import recommender
import unlearning

IMPORTED = (
    alembic.command, app.db.schema, celery.apps.worker, peft, psycopg, recommender, transformers.LlamaForCausalLM,
    unlearning, uvicorn,
)  # fmt: skip
# A command that has not ended by then is killed, and its test sees the signal.
SECONDS = 120


def serve() -> None:
    """Run one command for each line of standard input, and answer with its exit code, until there is none."""
    answers = os.fdopen(os.dup(1), "w")
    # No child has to look through, and copy, what is there for good.
    gc.freeze()
    for line in sys.stdin:
        command = json.loads(line)
        child = os.fork()
        if child == 0:
            become(command)
            runpy.run_module("cli.main", run_name="__main__")
            return
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)


def become(command: dict[str, Any]) -> None:
    """Turn into a process that was started as `lethe`."""
    os.setsid()
    signal.alarm(SECONDS)
    for descriptor, path in ((0, os.devnull), (1, command["output"]), (2, command["errors"])):
        opened = os.open(path, os.O_RDONLY if descriptor == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.environ.clear()
    os.environ.update(command["environment"])
    os.chdir(command["folder"])
    sys.argv = ["lethe", *command["arguments"]]


if __name__ == "__main__":
    serve()
