"""Recipients over real HTTPS: a 2xx is an acknowledgement, 202 is not one yet (R-43)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial

from fastapi.testclient import TestClient

from app.api_keys.service import Scope
from app.db.session import Database
from app.receipts.verification import verify
from tests.integration.db.conftest import Service
from tests.integration.http.conftest import gateway_of, issue_key
from tests.integration.http.test_receipts import keys_of, receipt
from tests.integration.http.test_webhooks import answer_challenge, running, state_of, telling, until
from tests.receivers import Received, Receiver

__all__ = ["running", "telling"]


def note(received: Received) -> tuple[int, Mapping[str, str], bytes]:
    """One recipient erases at once, the other one later."""
    if json.loads(received.body)["type"] == "webhook.challenge":
        return answer_challenge(received)
    return (202 if received.path == "/later" else 200), {}, b""


def is_active(client: TestClient, endpoint: str) -> bool:
    return state_of(client, endpoint) == "active"


def test_a_request_is_completed_when_its_recipients_have_acknowledged(
    telling: TestClient, running: Receiver, database: Database
) -> None:
    running.answering = note
    for name in ("soon", "later"):
        body = {"name": name, "url": running.url(f"/{name}", host="localhost"), "recipient": "mandatory"}
        registered = telling.post("/webhook-endpoints", json=body | {"events": ["forget.recipient_notice"]})
        assert registered.status_code == 201, registered.text
        assert registered.json()["recipient"] == "mandatory"
        endpoint = registered.json()["id"]
        until(partial(is_active, telling, endpoint))
    request = telling.post("/users/user-1/forget", json={"client_reference": "T-9"}).json()
    service = Service(database, gateway_of(telling).audit)
    claim = service.claim(waiting_run(telling))
    assert claim is not None
    service.finish(claim)
    notices = running.wait_for(
        lambda found: len([one for one in found if b"recipient_notice" in one.body]) == 2
    )
    assert json.loads(notices[-1].body)["data"]["client_reference"] == "T-9"

    def targets() -> dict[str, str]:
        found = telling.get(f"/forget-requests/{request['id']}").json()["targets"]
        return {one["name"]: one["state"] for one in found}

    until(lambda: targets() == {"soon": "acknowledged", "later": "notified"})
    waits = telling.get(f"/forget-requests/{request['id']}").json()
    assert (waits["status"], waits["detail_code"], waits["done"]) == ("deploying", "recipients_silent", False)
    # Its run is done. Said now, "erased" would be read as the end.
    assert waits["outcome"] is None
    assert waits["waits_for"] == "every mandatory recipient to acknowledge; see targets"
    target = f"/forget-requests/{request['id']}/targets/later/acknowledge"
    other = {"Authorization": f"Bearer {issue_key(database, 'other', Scope.FORGET_READ)}"}
    assert telling.post(target, headers=other).status_code == 403
    assert telling.post(target.replace("later", "nobody")).status_code == 404
    assert telling.post(target).json()["state"] == "acknowledged"
    done = telling.get(f"/forget-requests/{request['id']}").json()
    assert (done["status"], done["detail_code"], done["waits_for"]) == ("completed", None, None)
    assert done["outcome"] == "erased"
    assert targets() == {"soon": "acknowledged", "later": "acknowledged"}
    # The end of the run is in the log too, and completed nobody.
    claims = verify(receipt(telling, request, "completion"), keys_of(telling)).claims
    assert (claims["outcome"], claims["completed_at"][:19]) == ("erased", done["completed_at"][:19])


def waiting_run(client: TestClient) -> str:
    """The run that is queued for the request."""
    [run] = [one["id"] for one in client.get("/runs").json()["runs"] if one["status"] == "queued"]
    return run  # type: ignore[no-any-return]
