# Derived from lethe_client/sync/ by `python -m docs.generate`: edit the file of this name there.
"""Calls about runs, versions and consolidations."""

from __future__ import annotations

from lethe_client.exchange import Call, id_of, segment
from lethe_client.models import Run, RunDetail, RunList
from lethe_client.aio.connection import Connection
from lethe_client.versions import Adapters, Rollback


class Runs(Connection):
    """What the workers do, and what serves."""

    async def list_runs(self, *, limit: int | None = None) -> RunList:
        """The latest runs, the newest first."""
        return await self._ask(Call("GET", "/runs", {"limit": limit}), RunList)

    async def read_run(self, run: str) -> RunDetail:
        """A run with every attempt, by its id or its link."""
        return await self._ask(Call("GET", f"/runs/{segment(id_of(run))}"), RunDetail)

    async def list_adapters(self) -> Adapters:
        """What serves: the pointer, the versions and the replicas."""
        return await self._ask(Call("GET", "/adapters"), Adapters)

    async def consolidate(self, *, idempotency_key: str | None = None) -> Run:
        """Queue an exact re-fit without everybody who was forgotten. A repeat returns the waiting one."""
        return await self._ask(Call("POST", "/consolidations", idempotency_key=idempotency_key), Run)

    async def roll_back_version(self, digest: str, *, idempotency_key: str | None = None) -> Rollback:
        """Let an earlier version serve again. Refused with `guard` where an erasure could be undone."""
        return await self._ask(
            Call("POST", f"/adapters/{segment(digest)}/rollback", idempotency_key=idempotency_key), Rollback
        )
