"""`lethe status`: what serves, what waits, what runs, and what is left of the budget for attenuation."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.attempts import queries as attempts
from app.consolidations.schemas import BudgetView
from app.db.clock import database_now
from app.db.models import Ledger, RequestStatus, Run, RunStatus, Version
from app.db.schema import require_current_schema
from app.db.session import Database, open_database
from app.forget_requests import dwelling
from app.forget_requests import queries as forget_requests
from app.forget_requests.policy import load_request_policy
from app.replicas.queries import live_replicas, silent_engines
from app.settings import get_settings
from app.versions import queries as versions
from cli.doctor.services import database_file
from cli.failures import CommandError

_ITEMS = {
    "attenuated_subjects": "people attenuated",
    "attenuations": "attenuations",
    "age_days": "days since the exact fit",
    "utility_loss": "utility lost",
}


def read() -> dict[str, Any]:
    """Read the status from the database, as plain values without user ids or secrets.

    Raises:
        DatabaseError, CommandError: the database cannot be used, or does not exist.
    """
    settings = get_settings()
    file = database_file(settings)
    if file is not None and not file.is_file():
        # Stop here: connecting would create the file.
        raise CommandError(f"there is no database in {file}: run lethe migrate")
    database = Database(open_database(settings.database_url, pooled=False))
    require_current_schema(database.engine)
    longest = load_request_policy(settings).longest_hours
    with database.read(snapshot=True) as session:
        now = database_now(session)
        counts = forget_requests.counts(session, now)
        timeout = timedelta(seconds=settings.replica_timeout_seconds)
        return {
            "serving": _serving(session),
            "replicas": [
                {
                    "id": replica.id,
                    "generation": replica.generation,
                    "version": replica.live_digest,
                    "epoch": replica.epoch,
                    "error": replica.error,
                }
                for replica in live_replicas(session, now=now, timeout=timeout)
            ],
            "silent_engines": [replica.id for replica in silent_engines(session, now=now, timeout=timeout)],
            "requests": {
                **{status.value: counts.by_status.get(status, 0) for status in RequestStatus},
                "overdue": counts.overdue,
                "stalled": sum(dwelling.counts(session, longest, now).values()),
            },
            "runs": _running(session),
            "runs_waiting": len(session.scalars(select(Run.id).where(Run.status == RunStatus.QUEUED)).all()),
            "consolidation": BudgetView.read(session, now).model_dump(mode="json"),
        }


def _serving(session: Session) -> dict[str, Any]:
    serving = versions.current(session)
    version = None if serving.digest is None else session.get(Version, serving.digest)
    return {
        "version": serving.digest,
        "generation": serving.generation,
        "method": None if version is None else version.method,
        "exact": None if version is None else version.exact,
        "covers_epoch": None if version is None else version.forget_epoch,
        "epoch": session.get_one(Ledger, 1).epoch,
        "erasure_floor": serving.erasure_floor,
        "candidate": serving.candidate_digest,
    }


def _running(session: Session) -> list[dict[str, Any]]:
    running = select(Run).where(Run.status == RunStatus.RUNNING).order_by(Run.started_at, Run.id)
    return [_of_run(session, run) for run in session.scalars(running)]


def _of_run(session: Session, run: Run) -> dict[str, Any]:
    tried = attempts.of_run(session, run.id)
    return {
        "id": run.id,
        "kind": run.kind,
        "stage": run.stage,
        "progress": run.progress,
        "attempts": len(tried),
        "last_rung": tried[-1].step if tried else None,
        "requests": len(forget_requests.of_run(session, run.id)),
        "started_at": run.started_at.isoformat() if run.started_at else None,
        "claims": run.claims,
        "detail": run.detail,
    }


def describe(found: dict[str, Any]) -> list[str]:
    return [
        _told_serving(found["serving"]),
        *_told_replicas(found["replicas"], found["serving"]),
        *_told_silent(found["silent_engines"]),
        _told_requests(found["requests"]),
        *_told_runs(found["runs"], found["runs_waiting"]),
        *_told_budget(found["consolidation"]),
    ]


def _told_serving(serving: dict[str, Any]) -> str:
    if serving["version"] is None:
        return "serving     no version is live: everybody gets the fallback (lethe init makes one)"
    kind = "exact fit" if serving["exact"] else "attenuated"
    return (
        f"serving     version {serving['version'][:16]}, generation {serving['generation']} "
        f"({serving['method']}, {kind}); covers epoch {serving['covers_epoch']} of {serving['epoch']}"
    )


def _told_replicas(replicas: list[dict[str, Any]], serving: dict[str, Any]) -> list[str]:
    if not replicas:
        return ["replicas    none: no gateway runs (lethe up, or lethe gateway)"]
    lines = []
    for replica in replicas:
        current = replica["version"] == serving["version"]
        state = "serves the live version" if current else f"serves {(replica['version'] or 'nothing')[:16]}"
        error = f"; {replica['error']}" if replica["error"] else ""
        lines.append(f"replica     {replica['id']}: {state}, knows epoch {replica['epoch']}{error}")
    return lines


def _told_silent(names: list[str]) -> list[str]:
    return [
        f"replica     {name}: SILENT; its vLLM server may hold older versions, and every run waits: start the gateway "
        "again, or stop the server, empty its folder and run lethe replicas retire"
        for name in names
    ]


def _told_requests(requests: dict[str, int]) -> str:
    told = (
        f"requests    {requests['queued']} waiting, {requests['unlearning'] + requests['deploying']} at work, "
        f"{requests['needs_attention']} need attention, {requests['completed']} completed"
    )
    for name in ("overdue", "stalled"):
        told += f"; {requests[name]} {name.upper()}" if requests[name] else ""
    return told


def _told_runs(runs: list[dict[str, Any]], waiting: int) -> list[str]:
    if not runs:
        return [f"run         none works, {waiting} waiting"]
    lines = [_told_run(run) for run in runs]
    if waiting:
        lines[-1] += f"; {waiting} waiting"
    return lines


def _told_run(run: dict[str, Any]) -> str:
    last = "" if run["last_rung"] is None else f", the last at rung {run['last_rung']}"
    parts = [
        f"{run['kind']} (requests: {run['requests']})" if run["kind"] == "forget" else run["kind"],
        run["stage"],
        *([run["progress"]] if run["progress"] else []),
        f"attempts so far: {run['attempts']}{last}",
        *([run["detail"]] if run["detail"] else []),
    ]
    return f"run         {run['id']}: {', '.join(parts)}"


def _told_budget(budget: dict[str, Any]) -> list[str]:
    if budget["last_exact_fit"] is None:
        return []
    told = [
        f"{_ITEMS.get(item['name'], item['name'])} {item['spent']:.3g}"
        + ("" if item["limit"] is None else f" of {item['limit']:.3g}")
        for item in budget["items"]
    ]
    return [f"budget      until the next consolidation: {', '.join(told)}"]
