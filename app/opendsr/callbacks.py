"""The callbacks of OpenDSR."""

from __future__ import annotations

from app.links import Links
from app.opendsr.schemas import VERSION, StatusCallback
from app.opendsr.service import Told
from app.opendsr.signing import Processor
from app.opendsr.states import Status


class Callbacks:
    """Writes and signs callbacks."""

    def __init__(self, processor: Processor, links: Links) -> None:
        self._processor = processor
        self._links = links

    def message(self, told: Told, url: str) -> tuple[dict[str, str], bytes]:
        """The headers and the body of a callback.

        Args:
            url: where it goes; the body repeats it.
        """
        receipt = self._processor.url(self._links.receipt(told.request_id, "completion"))
        view = StatusCallback(
            controller_id=told.caller,
            subject_request_id=told.subject_request_id,
            request_status=told.status,
            expected_completion_time=told.due_at,
            api_version=VERSION,
            results_url=receipt if told.status is Status.COMPLETED else None,
            status_callback_url=url,
        )
        body = view.model_dump_json().encode()
        return self._processor.headers(body), body
