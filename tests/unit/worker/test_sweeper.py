"""The sweeper is made in the parent and started in its child."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from celery import Celery

from app.settings import Settings
from worker.sweeper import Sweeper

# In an interpreter of its own: this one has threads, and a fork would not be to its liking.
FORKS = """
import os, sys
from celery import Celery
from app.settings import Settings
from worker.sweeper import Sweeper

sweeper = Sweeper(Celery(set_as_current=False), Settings(environment="development", database_url=sys.argv[1]))
child = os.fork()
if child == 0:
    sweeper.start()
    sweeper.stop()
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_it_starts_in_a_child_of_the_process_that_made_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/none.sqlite3"
    done = subprocess.run([sys.executable, "-c", FORKS, url], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_stopping_one_that_was_never_started_is_nothing(tmp_path: Path) -> None:
    settings = Settings(environment="development", database_url=f"sqlite:///{tmp_path}/none.sqlite3")
    Sweeper(Celery(set_as_current=False), settings).stop()
