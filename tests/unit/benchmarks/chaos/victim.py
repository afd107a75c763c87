"""What `test_kill_points` kills: a step, a transaction, and a file that gets its name."""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session


def step() -> None:
    (Path(os.environ["VICTIM_FOLDER"]) / "step").touch()


def work() -> None:
    folder = Path(os.environ["VICTIM_FOLDER"])
    with Session(create_engine(f"sqlite:///{folder}/written")) as session:
        session.execute(text("CREATE TABLE IF NOT EXISTS t (x)"))
        session.commit()
        step()
        session.execute(text("INSERT INTO t VALUES (1)"))
        session.commit()
    os.link(folder / "step", folder / "linked")
