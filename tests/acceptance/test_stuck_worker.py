"""A worker whose main loop stands still ends, and is started again; one whose run takes long does not (R-35)."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import uuid
from pathlib import Path

import httpx
import pytest

from app.broker import QUEUE
from tests.acceptance.installation import Installation, children_of, lives, run_of, wait_until
from tests.acceptance.test_stopping import started
from worker.watchdog import STUCK

# The shortest that may be set, and longer than that.
SILENCE, LONGER = 10, 20
SECONDS = 240


def known_user(client: httpx.Client, data: Path) -> str:
    """A user of the service with a history."""
    with (data / "interactions.csv").open() as file:
        users = sorted({row["user_id"] for row in csv.DictReader(file)})
    return next(
        user for user in users if client.get("/recommend", params={"user_id": user}).json()["personalised"]
    )


def test_r35_a_worker_whose_loop_is_stopped_ends_and_one_with_a_long_run_does_not(
    installation: Installation, small_data: Path, tmp_path: Path
) -> None:
    installation.start_gateway()
    environment = {
        **installation.environment,
        "LETHE_WORKER_SILENCE_SECONDS": str(SILENCE),
        # Messages are moved here; on the same disk, so that a pipe can be moved too.
        "TMPDIR": str(installation.root),
    }
    log = tmp_path / "log"
    with installation.client() as client, started(log, "worker", **environment) as worker:
        location = client.post(f"/users/{known_user(client, small_data)}/forget").headers["Location"]
        wait_until(lambda: client.get(location).json()["run"] is not None, SECONDS, what="a claim")
        # Its child computes nothing and beats no more: to the parent, a step that takes long.
        children = children_of(worker.pid)
        assert children
        for child in children:
            os.kill(child, signal.SIGSTOP)
        with pytest.raises(subprocess.TimeoutExpired):
            worker.wait(LONGER)
        if installation.size.name == "full":
            # Redis has no message that would hold its reader for ever.
            return
        # A message that is there and can never be read: the loop stands still in it, while the child goes on.
        broker = Path(installation.size.broker_url.removeprefix("filesystem://"))
        os.mkfifo(broker / "messages" / f"{uuid.uuid4()}.{QUEUE}.msg")
        for child in children:
            os.kill(child, signal.SIGCONT)
        assert worker.wait(SECONDS) == STUCK
        wait_until(lambda: not any(map(lives, children)), 10, what="the end of its child")
        run = run_of(client, client.get(location).json())
    # To end is no failure of the run's: it was handed back, unless it was completed by then.
    assert (run["status"], run["claims"]) in (("running", 0), ("completed", 1))
    said = log.read_text()
    assert said.count("worker.stuck") == 1
    assert "Traceback" not in said
