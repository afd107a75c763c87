"""Calls about runs, versions and consolidations."""

from __future__ import annotations

from lethe_client.exchange import Call, id_of, segment
from lethe_client.models import Run, RunDetail, RunList
from lethe_client.sync.connection import Connection
from lethe_client.versions import Adapters, Rollback


class Runs(Connection):
    """What the workers do, and what serves."""

    def list_runs(self, *, limit: int | None = None) -> RunList:
        """The latest runs, the newest first.

        >>> client.list_runs(limit=1).runs[0].kind
        'forget'
        """
        return self._ask(Call("GET", "/runs", {"limit": limit}), RunList)

    def read_run(self, run: str) -> RunDetail:
        """A run with every attempt, by its id or its link.

        >>> run = client.list_runs().runs[0]
        >>> client.read_run(run.id).attempts
        []
        """
        return self._ask(Call("GET", f"/runs/{segment(id_of(run))}"), RunDetail)

    def list_adapters(self) -> Adapters:
        """What serves: the pointer, the versions and the replicas.

        >>> adapters = client.list_adapters()
        >>> [version.digest for version in adapters.versions if version.live] == [adapters.live]
        True
        """
        return self._ask(Call("GET", "/adapters"), Adapters)

    def consolidate(self, *, idempotency_key: str | None = None) -> Run:
        """Queue an exact re-fit without everybody who was forgotten. A repeat returns the waiting one."""
        return self._ask(Call("POST", "/consolidations", idempotency_key=idempotency_key), Run)

    def roll_back_version(self, digest: str, *, idempotency_key: str | None = None) -> Rollback:
        """Let an earlier version serve again. Refused with `guard` where an erasure could be undone."""
        return self._ask(
            Call("POST", f"/adapters/{segment(digest)}/rollback", idempotency_key=idempotency_key), Rollback
        )
