"""GET /dashboard/evidence: the audit log, filtered and exported, and whether it verifies."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from app.api_keys.service import Scope
from app.audit import queries as audit
from app.audit.events import AuditExported
from app.audit.queries import Filter
from app.audit.verification import Verification, verify
from app.dashboard import cells
from app.dashboard.access import Viewer, form_of, viewer_with
from app.dashboard.pages import PageRoute, addressed, go_to, render
from app.db.clock import database_now
from app.db.models import AuditEntry
from app.dependencies import GatewayDependency
from app.gateway import Gateway
from inputs import canonical_json
from model_store import StoreError

router = APIRouter(include_in_schema=False, route_class=PageRoute)

MayRead = Annotated[Viewer, Depends(viewer_with(Scope.AUDIT_READ))]
_SHOWN = 100
# Ids and digests of ours only: a user's id does not belong into an address or into the log.
ABOUT = r"^([a-z]{2}_[0-9a-f]{32}|[0-9a-f]{64})?$"
_COLUMNS = ("sequence", "recorded_at", "actor", "action", "data", "previous_mac", "mac")


@dataclass(frozen=True)
class Asked:
    """The filter as the address has it. ``until`` is the last day that is included."""

    action: str
    about: str
    since: date | None
    until: date | None

    @property
    def filter(self) -> Filter:
        return Filter(
            self.action,
            self.about,
            None if self.since is None else _midnight(self.since),
            None if self.until is None else _midnight(self.until) + timedelta(days=1),
        )

    def address(self, path: str, **more: object) -> str:
        return addressed(
            path, action=self.action, about=self.about, since=self.since, until=self.until, **more
        )


def asked(
    action: Annotated[str, Query(pattern=r"^[a-z_.]{0,40}$")] = "",
    about: Annotated[str, Query(pattern=ABOUT)] = "",
    since: str = "",
    until: str = "",
) -> Asked:
    return Asked(action, about, _day(since), _day(until))


class Verifier:
    """Verifies the log, one check at a time, and remembers the last result of this gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._lock = threading.Lock()
        self.result: Verification | None = None
        self.problem = ""
        self.at: datetime | None = None

    def run(self) -> None:
        """Verify now. Whoever asks while a check runs gets its result."""
        if not self._lock.acquire(blocking=False):
            with self._lock:
                return
        try:
            gateway = self._gateway
            try:
                self.result, self.problem = verify(gateway.database, gateway.audit, gateway.store), ""
            except StoreError as error:
                self.result, self.problem = None, f"the store could not be read: {error}"
            with gateway.database.read() as session:
                self.at = database_now(session)
        finally:
            self._lock.release()


@router.get("/dashboard/evidence")
def show(
    request: Request,
    gateway: GatewayDependency,
    viewer: MayRead,
    asked: Annotated[Asked, Depends(asked)],
    before: Annotated[int | None, Query(ge=1, le=2**62)] = None,
) -> Response:
    with gateway.database.read() as session:
        now = database_now(session)
        rows = audit.page(session, asked.filter, limit=_SHOWN + 1, before=before)
    page = gateway.links.page("evidence")
    return render(
        request,
        "evidence.html",
        viewer=viewer,
        now=now,
        current="Evidence",
        asked=asked,
        actions=audit.actions(),
        about_form=ABOUT.strip("^$"),
        entries=[(row, _spoken_data(row.data)) for row in rows[:_SHOWN]],
        first=before is None,
        newest=asked.address(page),
        older=asked.address(page, before=rows[_SHOWN - 1].sequence) if len(rows) > _SHOWN else None,
        exports=[
            (form.upper(), asked.address(gateway.links.page(f"evidence/export.{form}")))
            for form in ("csv", "json")
        ],
        verifier=request.app.state.verifier,
        may_verify=viewer.token is not None,
    )


@router.post("/dashboard/evidence/verify")
async def verify_now(
    request: Request,
    gateway: GatewayDependency,
    _viewer: MayRead,
    _form: Annotated[dict[str, list[str]], Depends(form_of)],
) -> Response:
    verifier: Verifier = request.app.state.verifier
    await run_sync(verifier.run)
    return go_to(gateway.links.page("evidence") + "#verification")


@router.get("/dashboard/evidence/export.csv")
async def export_csv(
    gateway: GatewayDependency, viewer: MayRead, asked: Annotated[Asked, Depends(asked)]
) -> Response:
    await gateway.write(partial(_record_export, gateway, viewer, asked, "csv"))
    return _file(cells.rows(_COLUMNS, _lines(gateway, asked)), "text/csv; charset=utf-8", "csv")


@router.get("/dashboard/evidence/export.json")
async def export_json(
    gateway: GatewayDependency, viewer: MayRead, asked: Annotated[Asked, Depends(asked)]
) -> Response:
    await gateway.write(partial(_record_export, gateway, viewer, asked, "json"))
    return _file(_json(gateway, asked), "application/json", "json")


def _record_export(gateway: Gateway, viewer: Viewer, asked: Asked, form: str) -> None:
    with gateway.transaction() as transaction:
        transaction.record(
            AuditExported(
                form=form,
                action_filter=asked.action,
                about=asked.about,
                since=None if asked.since is None else asked.since.isoformat(),
                until=None if asked.until is None else asked.until.isoformat(),
            ),
            actor=viewer.name,
        )


def _lines(gateway: Gateway, asked: Asked) -> Iterator[list[object]]:
    for entry in _entries(gateway, asked):
        row = _row(entry) | {"data": canonical_json(entry.data).decode()}
        yield list(row.values())


def _json(gateway: Gateway, asked: Asked) -> Iterator[str]:
    yield '{"entries":['
    for place, entry in enumerate(_entries(gateway, asked)):
        yield ("," if place else "") + "\n" + json.dumps(_row(entry))
    yield "\n]}\n"


def _entries(gateway: Gateway, asked: Asked) -> Iterator[AuditEntry]:
    with gateway.database.read(snapshot=True) as session:
        yield from audit.every(session, asked.filter)


def _row(entry: AuditEntry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in _COLUMNS} | {"recorded_at": entry.recorded_at.isoformat()}


def _file(content: Iterator[str], media_type: str, form: str) -> StreamingResponse:
    name = f'attachment; filename="lethe-audit.{form}"'
    return StreamingResponse(content, media_type=media_type, headers={"Content-Disposition": name})


def _spoken_data(data: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (name, value if isinstance(value, str) else json.dumps(value))
        for name, value in sorted(data.items())
        if value is not None
    ]


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _day(text: str) -> date | None:
    """The day of a form's field. An empty field is no day, and so is one that is not a date."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
