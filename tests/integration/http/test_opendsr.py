"""A privacy tool that speaks OpenDSR 2.0 sends requests, follows and cancels them, and checks every signature.

The client does what public clients of the protocol do: HTTP Basic, JSON with fields that are nobody's here, the
certificate from the discovery, and SHA-256 with RSA over the body before it is read.
"""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from fastapi.testclient import TestClient
from httpx import Response
from sqlalchemy import select, update

from app.api_keys.roles import SCOPES_OF, Role
from app.api_keys.service import Scope
from app.db.models import ForgetRequest, KeptAnswer, OpenDsrRequest, RequestStatus, Suppression
from app.db.session import Database
from app.main import create_app
from app.settings import Settings
from tests.certificates import certificate, files, rsa_key
from tests.integration.http.conftest import gateway_of, issue_key
from tests.integration.tiny_model import subject_of
from tests.receivers import Received, Receiver, receiver

DOMAIN = "lethe.example.com"
KEY = rsa_key()
SIGNED = ("X-OpenDSR-Processor-Domain", "X-OpenDSR-Signature")


class PrivacyTool:
    """A client of the protocol. It knows the base address and its credentials, and nothing of Lethe."""

    def __init__(self, http: TestClient, secret: str) -> None:
        self._http = http
        self._auth = ("workspace", secret)

    def discovery(self) -> dict[str, Any]:
        return self._verified(self._http.get("/opendsr/discovery"))

    def submit(self, user: str, **changes: Any) -> Response:
        body = {
            "regulation": "ccpa",
            "subject_request_id": str(uuid.uuid4()),
            "subject_request_type": "erasure",
            "submitted_time": "2026-10-02T15:00:00Z",
            "subject_identities": [
                {"identity_type": "email", "identity_value": "ann@example.com", "identity_format": "raw"},
                {"identity_type": "controller_customer_id", "identity_value": user, "identity_format": "raw"},
            ],
            "api_version": "2.0",
            "extensions": {"example-processor.com": {"property_id": "123456"}},
        }
        return self._http.post("/opendsr/requests", json=body | changes, auth=self._auth)

    def accepted(self, user: str, **changes: Any) -> dict[str, Any]:
        answer = self.submit(user, **changes)
        assert answer.status_code == 201, answer.text
        return self._verified(answer)

    def status(self, subject_request_id: str) -> dict[str, Any]:
        answer = self._http.get(f"/opendsr/requests/{subject_request_id}", auth=self._auth)
        assert answer.status_code == 200, answer.text
        return self._verified(answer)

    def cancel(self, subject_request_id: str) -> Response:
        return self._http.delete(f"/opendsr/requests/{subject_request_id}", auth=self._auth)

    def cancelled(self, subject_request_id: str) -> dict[str, Any]:
        answer = self.cancel(subject_request_id)
        assert answer.status_code == 202, answer.text
        return self._verified(answer)

    def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """Check that the processor, whom the certificate names, has signed these bytes."""
        address = urlsplit(self._http.get("/opendsr/discovery").json()["processor_certificate"])
        assert (address.scheme, address.netloc) == ("https", DOMAIN)
        found = x509.load_pem_x509_certificate(self._http.get(address.path).content)
        [common] = found.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        assert headers["X-OpenDSR-Processor-Domain"] == common.value == DOMAIN
        signature = base64.b64decode(headers["X-OpenDSR-Signature"], validate=True)
        public = found.public_key()
        assert isinstance(public, rsa.RSAPublicKey)
        public.verify(signature, body, padding.PKCS1v15(), SHA256())

    def _verified(self, answer: Response) -> dict[str, Any]:
        self.verify(answer.headers, answer.content)
        return answer.json()  # type: ignore[no-any-return]


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiver(names=("localhost",)) as opened:
        opened.authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
        # What the system trusts.
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
        yield opened


@pytest.fixture
def opendsr(
    settings: Settings, database: Database, installed: str, running: Receiver, tmp_path: Path
) -> Iterator[TestClient]:
    """A gateway with a certificate, which may send webhooks to this machine. It knows no caller."""
    named = files(tmp_path, certificate(KEY, DOMAIN), KEY) | {
        "environment": "development",
        "allow_private_webhooks": True,
        "webhook_key": "a webhook key of thirty-two bytes",
    }
    with TestClient(create_app(Settings.model_validate(settings.model_dump() | named))) as opened:
        assert gateway_of(opened).engine.wait_for_version(30)
        yield opened


@pytest.fixture
def tool(opendsr: TestClient, database: Database) -> PrivacyTool:
    return PrivacyTool(opendsr, issue_key(database, "privacy-tool", *SCOPES_OF[Role.SERVICE]))


def test_a_tool_discovers_sends_follows_and_cancels(
    opendsr: TestClient, tool: PrivacyTool, database: Database
) -> None:
    discovered = tool.discovery()
    assert discovered["api_version"] == "2.0"
    assert discovered["supported_subject_request_types"] == ["erasure"]
    assert discovered["supported_identities"] == [
        {"identity_type": "controller_customer_id", "identity_format": "raw"}
    ]
    answer = tool.accepted("user-1")
    subject_request_id = answer["subject_request_id"]
    assert answer.keys() == {
        "controller_id", "subject_request_id", "received_time", "expected_completion_time", "encoded_request"
    }  # fmt: skip
    assert answer["controller_id"] == "privacy-tool"
    # 45 days under the CCPA, from the moment at which the person asked.
    assert answer["expected_completion_time"] == "2026-11-16T23:59:59Z"
    sent = json.loads(base64.b64decode(answer["encoded_request"]))
    assert sent["subject_request_id"] == subject_request_id
    assert gateway_of(opendsr).engine.is_suppressed(subject_of("user-1"))
    status = tool.status(subject_request_id)
    assert status == {
        "controller_id": "privacy-tool",
        "subject_request_id": subject_request_id,
        "request_status": "pending",
        "expected_completion_time": answer["expected_completion_time"],
        "api_version": "2.0",
        "results_url": None,
    }
    with database.read() as session:
        [request] = session.scalars(select(ForgetRequest)).all()
    assert (request.regime, request.client_reference) == ("ccpa", subject_request_id)
    assert tool.cancelled(subject_request_id)["subject_request_id"] == subject_request_id
    assert tool.status(subject_request_id)["request_status"] == "cancelled"
    again = tool.cancel(subject_request_id)
    assert (again.status_code, again.json()["code"]) == (409, "illegal-transition")
    with database.read() as session:
        assert session.scalars(select(Suppression.lifted_because)).all() == ["cancelled"]


def test_a_tool_of_version_one_finds_its_routes_and_headers(
    opendsr: TestClient, tool: PrivacyTool, database: Database
) -> None:
    """It knows no regulation, and writes out what it leaves empty."""
    auth = ("workspace", issue_key(database, "older-tool", *SCOPES_OF[Role.SERVICE]))
    subject_request_id = str(uuid.uuid4())
    body = {
        "subject_request_id": subject_request_id,
        "subject_request_type": "erasure",
        "submitted_time": "2026-10-02T15:00:00Z",
        "api_version": "",
        "status_callback_urls": None,
        "subject_identities": [
            {"identity_type": "controller_customer_id", "identity_format": "raw", "identity_value": "user-1"}
        ],
        "extensions": None,
    }
    sent = opendsr.post(
        "/opendsr/opengdpr_requests",
        content=json.dumps(body),
        headers={"Content-Type": "Application/JSON"},
        auth=auth,
    )
    path = f"/opendsr/opengdpr_requests/{subject_request_id}"
    answers = [sent, opendsr.get(path, auth=auth), opendsr.delete(path, auth=auth)]
    assert [answer.status_code for answer in answers] == [201, 200, 202]
    for answer in answers:
        former = {name: answer.headers[name.replace("DSR", "GDPR")] for name in SIGNED}
        tool.verify(former, answer.content)


def test_a_completed_request_names_its_receipt(tool: PrivacyTool, database: Database) -> None:
    subject_request_id = tool.accepted("user-1", regulation="gdpr")["subject_request_id"]
    with database.unit_of_work() as session:
        request_id = session.scalars(select(ForgetRequest.id)).one()
        session.execute(update(ForgetRequest).values(status=RequestStatus.COMPLETED))
    status = tool.status(subject_request_id)
    assert status["request_status"] == "completed"
    receipt = f"https://{DOMAIN}/forget-requests/{request_id}/receipts/completion"
    assert status["results_url"] == receipt


def test_a_repeat_is_the_same_request_and_an_id_is_of_one_person_and_one_caller(
    opendsr: TestClient, tool: PrivacyTool, database: Database
) -> None:
    first = tool.accepted("user-1")
    known = {"subject_request_id": first["subject_request_id"]}
    assert tool.accepted("user-1", **known) == first
    reused = tool.submit("user-2", **known)
    assert (reused.status_code, reused.json()["code"]) == (409, "subject-request-id-reused")
    # The person's open request stands for another id too.
    second = tool.accepted("user-1")
    with database.read() as session:
        requests = session.scalars(select(OpenDsrRequest.request_id)).all()
        assert (len(requests), len(set(requests))) == (2, 1)
    other = PrivacyTool(opendsr, issue_key(database, "other-tool", *SCOPES_OF[Role.SERVICE]))
    hidden = other.cancel(second["subject_request_id"])
    assert (hidden.status_code, hidden.json()["code"]) == (404, "not-found")
    assert other.accepted("user-2", **known)["controller_id"] == "other-tool"


def test_no_identity_is_stored_with_the_answer_of_a_keyed_request(
    opendsr: TestClient, tool: PrivacyTool, database: Database
) -> None:
    opendsr.headers["Idempotency-Key"] = "key-1"
    known = {"subject_request_id": str(uuid.uuid4())}
    first = tool.submit("user-1", **known)
    again = tool.submit("user-1", **known)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    with database.read() as session:
        [kept] = session.scalars(select(KeptAnswer)).all()
    assert "encoded_request" in first.json()
    assert "encoded_request" not in kept.body
    assert not {name for name in kept.headers if name.startswith("x-opendsr")}


def test_what_cannot_be_done_is_refused_and_nothing_is_repeated(tool: PrivacyTool) -> None:
    hashed = [{"identity_type": "email", "identity_value": "0" * 64, "identity_format": "sha256"}]
    for change, pointer in (
        ({"subject_request_type": "access"}, "/body/subject_request_type"),
        ({"subject_identities": hashed}, "/body/subject_identities"),
        ({"status_callback_urls": ["https://hooks.example.com/in"]}, "/body/status_callback_urls/0"),
        ({"status_callback_urls": ["http://169.254.169.254/"]}, "/body/status_callback_urls/0"),
    ):
        refused = tool.submit("quetzal", **change)
        assert (refused.status_code, refused.json()["code"]) == (422, "validation-failed")
        assert [one["pointer"] for one in refused.json()["errors"]] == [pointer]
        assert not any(word in refused.text for word in ("quetzal", "hooks.example.com", "169.254", "ann@"))


def test_only_programs_may_use_basic_credentials_to_change_something(
    opendsr: TestClient, database: Database
) -> None:
    """A page of another site can make a browser send its credentials, but not this type of content."""
    auth = ("anyone", issue_key(database, "tool", *Scope))
    for content_type in ("text/plain", "application/x-www-form-urlencoded", ""):
        answer = opendsr.post(
            "/opendsr/requests", content=b"{}", headers={"Content-Type": content_type}, auth=auth
        )
        assert answer.status_code == 401
    assert opendsr.post("/opendsr/requests", json={}, auth=auth).status_code == 422
    assert opendsr.post("/forget-requests", json={}, auth=auth).status_code == 401


def test_callbacks_go_to_the_registered_endpoint_and_are_signed(
    opendsr: TestClient, tool: PrivacyTool, database: Database, running: Receiver
) -> None:
    manager = {"Authorization": f"Bearer {issue_key(database, 'manager', Scope.WEBHOOKS_MANAGE)}"}
    url = running.url("/opendsr/callbacks", host="localhost")
    registered = opendsr.post(
        "/webhook-endpoints", json={"name": "tool", "url": url, "protocol": "opendsr"}, headers=manager
    )
    assert (registered.status_code, registered.json()["state"]) == (201, "active")
    both = {"name": "both", "url": url, "protocol": "opendsr", "recipient": "optional"}
    refused = opendsr.post("/webhook-endpoints", json=both, headers=manager)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "not_for_opendsr")
    tool.accepted("user-2")
    subject_request_id = tool.accepted("user-1", status_callback_urls=[url])["subject_request_id"]
    tool.cancelled(subject_request_id)
    received = running.wait_for(lambda found: len(found) >= 2)
    assert [callback_of(tool, one)["request_status"] for one in received] == ["pending", "cancelled"]
    for one in received:
        told = callback_of(tool, one)
        assert told.keys() == {
            "controller_id", "subject_request_id", "request_status", "expected_completion_time", "api_version",
            "results_url", "status_callback_url",
        }  # fmt: skip
        assert (told["subject_request_id"], told["status_callback_url"]) == (subject_request_id, url)


def callback_of(tool: PrivacyTool, received: Received) -> dict[str, Any]:
    headers = {name.lower(): value for name, value in received.headers.items()}
    tool.verify({name: headers[name.lower()] for name in SIGNED}, received.body)
    return json.loads(received.body)  # type: ignore[no-any-return]


def test_without_a_certificate_the_routes_say_so(client: TestClient) -> None:
    for method, path in (
        ("GET", "/opendsr/discovery"),
        ("GET", "/opendsr/certificate.pem"),
        ("GET", f"/opendsr/requests/{uuid.uuid4()}"),
        ("DELETE", f"/opendsr/requests/{uuid.uuid4()}"),
        ("POST", "/opendsr/requests"),
    ):
        answer = client.request(method, path)
        assert (answer.status_code, answer.json()["code"]) == (404, "opendsr-off"), (method, path)
    endpoint = {"name": "tool", "url": "https://privacy.example.com/in", "protocol": "opendsr"}
    refused = client.post("/webhook-endpoints", json=endpoint)
    assert (refused.status_code, refused.json()["code"]) == (409, "opendsr-off")
