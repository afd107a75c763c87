"""Makes the links in answers, below the prefix that a proxy gives the service."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True)
class Links:
    """Absolute paths without the host. ``root`` is the setting ``root_path``: empty, or a prefix like ``/lethe``."""

    root: str = ""

    def request(self, request_id: str) -> str:
        return f"{self.root}/forget-requests/{request_id}"

    def receipt(self, request_id: str, kind: str) -> str:
        return f"{self.root}/forget-requests/{request_id}/receipts/{kind}"

    def batch(self, batch_id: str) -> str:
        return f"{self.root}/forget-batches/{batch_id}"

    def takedown(self, item_id: str) -> str:
        return f"{self.root}/items/{quote(item_id, safe='')}/forget"

    def run(self, run_id: str) -> str:
        return f"{self.root}/runs/{run_id}"

    def webhook_endpoint(self, endpoint_id: str) -> str:
        return f"{self.root}/webhook-endpoints/{endpoint_id}"

    def processor_certificate(self) -> str:
        return f"{self.root}/opendsr/certificate.pem"

    def page(self, path: str = "") -> str:
        """A page of the dashboard; without a path its first one, the worklist."""
        return f"{self.root}/dashboard/{path}" if path else f"{self.root}/"

    def log_in(self) -> str:
        return f"{self.root}/login"

    def static(self, name: str) -> str:
        return f"{self.root}/static/{name}"
