# Derived from lethe_client/sync/ by `python -m docs.generate`: edit the file of this name there.
"""Calls about the state of a gateway."""

from __future__ import annotations

from lethe_client.exchange import Call
from lethe_client.aio.connection import Connection


class Health(Connection):
    """Liveness, readiness and metrics."""

    async def is_alive(self) -> bool:
        """Whether the process answers."""
        answer = await self._ask(Call("GET", "/healthz"), dict[str, str])
        return answer["status"] == "ok"

    async def readiness(self) -> dict[str, bool]:
        """The checks by which the service decides whether it should get traffic: ready if all hold."""
        return await self._ask(Call("GET", "/readyz", also=503), dict[str, bool])

    async def metrics(self) -> str:
        """The metrics in Prometheus's text format."""
        response = await self._send(Call("GET", "/metrics"))
        return response.text
