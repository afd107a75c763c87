"""The client: all calls in one class."""

from __future__ import annotations

from lethe_client.sync.batches import Batches
from lethe_client.sync.evidence import Evidence
from lethe_client.sync.forget_requests import ForgetRequests
from lethe_client.sync.health import Health
from lethe_client.sync.items import Items
from lethe_client.sync.recommendations import Recommendations
from lethe_client.sync.runs import Runs
from lethe_client.sync.webhooks import Webhooks


class Client(ForgetRequests, Batches, Evidence, Recommendations, Items, Runs, Webhooks, Health):
    """One service and one API key. Use it in a `with` statement, or call `close`.

    Every method raises the errors of `lethe_client.errors`. A call is repeated after a lost connection or an answer
    that says *not now* (429, 500, 502, 503, 504) if that is safe: if it only reads, or was given an
    ``idempotency_key``.

    Args:
        url: the address of the service, for example ``https://lethe.example``.
        key: the API key.
        timeout: seconds to wait for each answer.
        retries: how often a call is repeated.
        transport: how httpx reaches the service, for proxies of your own and for tests.
    """
