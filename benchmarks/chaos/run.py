"""Attacks on tiny installations, each judged by an independent checker: `lethe bench chaos`.

A run is one installation at rest, one or two users who ask to be forgotten, and one fault. After the fault, processes
that have ended are started again and nothing else is done; all requests must then be completed. At the end the checker
reads the installation.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.bars import Reached, bars
from benchmarks.chaos.checker import Seen, violations
from benchmarks.chaos.client import Client
from benchmarks.chaos.faults import FAULTS, Attack, Fault
from benchmarks.chaos.installation import FEED_LEASE_SECONDS, Installation, Template, install, make_template
from benchmarks.chaos.services import Warm, comes_about
from benchmarks.environment import commit, environment
from benchmarks.service.errors import ServiceUnmeasurable
from benchmarks.service.installation import on_signals
from benchmarks.service.own_database import LOCAL_SERVER

RUNS = 600
DATABASES = ("sqlite", "postgresql")
# A request that needs a person is counted as such. Any other request must be over within this time.
_REST_SECONDS = 90.0
# With fewer users the gate could not measure anything.
_ENOUGH_USERS = 30
_BYSTANDERS = 2


def run(
    runs: int = RUNS,
    *,
    seed: int = 0,
    databases: Sequence[str] = DATABASES,
    faults: Sequence[str] = (),
    work: Path | None = None,
    postgresql: str = LOCAL_SERVER,
) -> dict[str, Any]:
    """Attack `runs` times, in parallel on all databases, one after the other on each; returns JSON values.

    Args:
        runs: total over all databases; each fault occurs equally often.
        seed: draws the users, the order of the faults, and everything random in a fault except time.
        databases: names from `DATABASES`.
        faults: names of faults; empty for all of them.
        work: folder for finished runs. A later call with the same code and arguments takes them from there. An
            installation with a violation is kept there too.
        postgresql: address of the server.

    Raises:
        ServiceUnmeasurable: an installation could not be made.
    """
    header = environment(("app", "benchmarks", "cli", "model_store", "recommender", "unlearning", "worker"))
    header["threads"] = 1
    started = time.monotonic()
    with bars() as bar:
        move = bar("runs")
        lanes = [
            _Lane(database, lane, runs, seed, databases, faults, work, postgresql)
            for lane, database in enumerate(databases)
        ]
        threads = [threading.Thread(target=lane.run_all) for lane in lanes]
        for thread in threads:
            thread.start()
        with on_signals(signal.default_int_handler):
            try:
                while any(thread.is_alive() for thread in threads):
                    time.sleep(0.5)
                    move(Reached(sum(len(lane.rows) for lane in lanes), runs))
            finally:
                # After an interruption each lane ends its run and cleans up, even if a second signal comes.
                with on_signals(signal.SIG_IGN):
                    for lane in lanes:
                        lane.told_to_stop.set()
                    for thread in threads:
                        thread.join()
        for lane in lanes:
            if lane.failure is not None:
                raise lane.failure
    rows = sorted((row for lane in lanes for row in lane.rows), key=lambda row: row["number"])
    return {
        "benchmark": "chaos",
        "environment": header,
        "seed": seed,
        "wall_seconds": time.monotonic() - started,
        "feed_lease_seconds": FEED_LEASE_SECONDS,
        **summary(rows),
        "left_out": sorted({name for lane in lanes for name in lane.left_out}),
        "rows": rows,
    }


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Totals over runs."""
    found: dict[str, int] = {}
    for row in rows:
        for violation in row["violations"]:
            found[violation] = found.get(violation, 0) + 1
    return {
        "runs": len(rows),
        "requests": sum(row["requests"] for row in rows),
        "recommendations": sum(row["recommendations"] for row in rows),
        "faults": len({row["fault"] for row in rows}),
        "kinds": len({row["kind"] for row in rows}),
        "runs_with_violations": sum(bool(row["violations"]) for row in rows),
        "violations": found,
    }


@dataclass
class _Lane:
    """The runs on one database: the run numbers that fall to it."""

    database: str
    lane: int
    runs: int
    seed: int
    databases: Sequence[str]
    names: Sequence[str]
    work: Path | None
    postgresql: str

    def __post_init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.left_out: set[str] = set()
        self.failure: Exception | None = None
        self.told_to_stop = threading.Event()

    def run_all(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="lethe-bench-"))
        try:
            self._run_all(folder)
        except Exception as error:  # noqa: BLE001  (the thread that waits for all lanes raises it)
            self.failure = error
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _run_all(self, folder: Path) -> None:
        kept = {row["number"]: row for row in self._kept()}
        numbers = [number for number in range(self.runs) if number % len(self.databases) == self.lane]
        self.rows += [kept[number] for number in numbers if number in kept]
        todo = [number for number in numbers if number not in kept]
        if not todo:
            return
        warm = Warm()
        template: Template | None = None
        installed: Installation | None = None
        forgotten: list[str] = []
        copies = 0
        try:
            template = make_template(
                folder / "template", self.postgresql if self.database == "postgresql" else None, self.seed
            )
            for number in todo:
                if self.told_to_stop.is_set():
                    return
                luck = random.Random(f"{self.seed} {number}")
                if installed is None or len(installed.fresh) < _ENOUGH_USERS:
                    if installed is not None:
                        installed.close()
                    copies, forgotten = copies + 1, []
                    installed = install(template, folder / f"copy-{copies}", warm)
                fault = self._fault(installed, number)
                row = attack(installed, fault, luck, forgotten)
                self._keep({"number": number, "database": self.database, **row})
                if row["violations"]:
                    # Keep the installation for inspection, and use a fresh one for the next run.
                    self._keep_installation(installed, number)
                    installed.close()
                    installed = None
        finally:
            if installed is not None:
                installed.close()
            if template is not None:
                template.drop()
            warm.close()

    def _fault(self, installed: Installation, number: int) -> Fault:
        """The fault of this run. Every round takes all faults, each time in another order."""
        possible = [fault for fault in FAULTS if fault.needs(installed)]
        self.left_out |= {
            fault.name for fault in FAULTS if fault not in possible and self.database == "postgresql"
        }
        if self.names:
            possible = [fault for fault in possible if fault.name in self.names]
        turn, place = divmod(number // len(self.databases), len(possible))
        return random.Random(f"{self.seed} {self.database} {turn}").sample(possible, len(possible))[place]

    def _kept(self) -> list[dict[str, Any]]:
        path = self._path
        if path is None or not path.is_file():
            return []
        return [json.loads(line) for line in path.read_text().splitlines()]

    def _keep(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a") as file:
                print(json.dumps(row), file=file)

    @property
    def _path(self) -> Path | None:
        if self.work is None:
            return None
        return self.work / f"chaos-{(commit() or 'unknown')[:12]}-{self.seed}-{self.database}.jsonl"

    def _keep_installation(self, installed: Installation, number: int) -> None:
        if self.work is not None:
            shutil.copytree(installed.folder, self.work / f"run-{number}-{self.database}", dirs_exist_ok=True)


def attack(
    installed: Installation, fault: Fault, luck: random.Random, forgotten: list[str]
) -> dict[str, Any]:
    """One run; its row of the result.

    Args:
        forgotten: the users who were forgotten on this installation before; the victims are added to it.
    """
    started = time.monotonic()
    victims = tuple(
        installed.fresh.pop(luck.randrange(len(installed.fresh))) for _ in range(luck.choice((1, 1, 2)))
    )
    bystanders = tuple(installed.fresh[:_BYSTANDERS])
    client = Client(
        [gateway.url for gateway in installed.gateways],
        installed.template.key,
        [*victims, *bystanders],
        installed.template.items,
    )
    found: list[str] = []
    attack_ = Attack(installed, client, victims, luck)
    try:
        try:
            fault.strike(attack_)
            installed.restore_order()
            comes_about(lambda: _at_rest(attack_), _REST_SECONDS)
        except ServiceUnmeasurable as problem:
            found.append(f"service: {problem}")
    finally:
        client.close()
    forgotten += victims
    found += violations(
        Seen(
            installed.database,
            installed.store.folder,
            installed.temporary,
            tuple(installed.folder.glob("*.log")),
            client.log,
            tuple(forgotten),
            FEED_LEASE_SECONDS,
        )
    )
    return {
        "fault": fault.name,
        "kind": fault.kind,
        "requests": len({accepted.location for accepted in client.log.accepted}),
        "recommendations": len(client.log.answers),
        "seconds": round(time.monotonic() - started, 2),
        "violations": sorted(set(found)),
    }


def _at_rest(attack_: Attack) -> bool:
    """Whether all requests are over and no run is queued or running."""
    if not attack_.done():
        return False
    return not attack_.installed.database.rows("SELECT id FROM runs WHERE status IN ('queued', 'running')")
