"""Calls about the state of a gateway."""

from __future__ import annotations

from lethe_client.exchange import Call
from lethe_client.sync.connection import Connection


class Health(Connection):
    """Liveness, readiness and metrics."""

    def is_alive(self) -> bool:
        """Whether the process answers.

        >>> client.is_alive()
        True
        """
        answer = self._ask(Call("GET", "/healthz"), dict[str, str])
        return answer["status"] == "ok"

    def readiness(self) -> dict[str, bool]:
        """The checks by which the service decides whether it should get traffic: ready if all hold.

        >>> all(client.readiness().values())
        True
        """
        return self._ask(Call("GET", "/readyz", also=503), dict[str, bool])

    def metrics(self) -> str:
        """The metrics in Prometheus's text format.

        >>> "lethe_http_requests_total" in client.metrics()
        True
        """
        response = self._send(Call("GET", "/metrics"))
        return response.text
