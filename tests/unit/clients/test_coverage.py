"""The Python client has every operation of the OpenAPI document, with and without async, and reads its examples."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import lethe_client
from app.api_examples import ANSWERS
from lethe_client import (
    AsyncClient,
    Client,
    batches,
    evidence,
    items,
    models,
    recommending,
    versions,
    webhooks,
)
from lethe_client.batches import ForgetItem
from lethe_client.models import Interaction
from lethe_client.recommending import OwnEvent, RecommendFor
from tests.documents import DOCS, REPOSITORY
from tests.unit.clients.described_service import DOCUMENT, OPERATIONS, DescribedService

REQUEST, RUN, BATCH = (f"{kind}_{'0' * 32}" for kind in ("fr", "ur", "fb"))
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

# How each operation is called. With either client: what an async method returns is awaited.
CALLS: dict[str, Callable[[Any], Any]] = {
    "forget": lambda client: client.forget_in_path("a/b", reason="objection", client_reference="zd-1"),
    "forget_user_in_body": lambda client: client.forget("user", reason="objection", client_reference="zd-1"),
    "forget_many": lambda client: client.forget_many([ForgetItem(user_id="user")], idempotency_key="key"),
    "try_many": lambda client: client.try_many([ForgetItem(user_id="user", regime="ccpa", requested_at=NOON)]),
    "read_batch": lambda client: client.read_batch(BATCH),
    "read_batch_items": lambda client: client.read_batch_items(BATCH),
    "read_acceptance": lambda client: client.read_acceptance_receipt(REQUEST),
    "read_completion": lambda client: client.read_completion_receipt(REQUEST),
    "read_checkpoint": lambda client: client.read_checkpoint(),
    "read_entries": lambda client: client.read_entries(after=2, limit=3),
    "prove_inclusion": lambda client: client.prove_inclusion(1, size=2),
    "prove_consistency": lambda client: client.prove_consistency(1, second=2),
    "key_set": lambda client: client.read_keys(),
    "list_webhook_endpoints": lambda client: client.list_webhook_endpoints(),
    "register_webhook_endpoint": lambda client: client.register_webhook_endpoint(
        "crm", "https://hooks.example.com/lethe", events=["forget.completed"], recipient="mandatory"
    ),
    "read_webhook_endpoint": lambda client: client.read_webhook_endpoint("we_1"),
    "remove_webhook_endpoint": lambda client: client.remove_webhook_endpoint("we_1"),
    "challenge_webhook_endpoint": lambda client: client.challenge_webhook_endpoint("we_1"),
    "replay_webhook_events": lambda client: client.replay_webhook_events("we_1", first=1, last=2),
    "list_webhook_deliveries": lambda client: client.list_webhook_deliveries(state="failed", limit=2),
    "redeliver_webhook": lambda client: client.redeliver_webhook("wd_1"),
    "acknowledge_target": lambda client: client.acknowledge_target(REQUEST, "retriever"),
    "list_forget_requests": lambda client: client.list_forget_requests(
        status=["queued", "on_hold"], overdue=True, stalled=True, client_reference="zd-1", received_from=NOON,
        received_before=NOON, cursor="0" * 32, limit=3,
    ),
    "read_forget_request": lambda client: client.read_forget_request(f"/prefix/forget-requests/{REQUEST}"),
    "retry_forget_request": lambda client: client.retry_forget_request(REQUEST),
    "verify_forget_request": lambda client: client.verify_forget_request(REQUEST, method="telephone"),
    "approve_forget_request": lambda client: client.approve_forget_request(REQUEST),
    "deny_forget_request": lambda client: client.deny_forget_request(REQUEST, reason="no_match"),
    "cancel_forget_request": lambda client: client.cancel_forget_request(REQUEST),
    "hold_forget_request": lambda client: client.hold_forget_request(
        REQUEST, reason="legal_claims", review_at=NOON
    ),
    "release_forget_request": lambda client: client.release_forget_request(REQUEST),
    "extend_forget_request": lambda client: client.extend_forget_request(
        REQUEST, reason="complexity", subject_told=True
    ),
    "expedite_forget_request": lambda client: client.expedite_forget_request(REQUEST, reason="authority"),
    "readmit_forget_request": lambda client: client.readmit_forget_request(REQUEST, reason="new_consent"),
    "read_erasure_statistics": lambda client: client.read_erasure_statistics(2026),
    "recommend_many": lambda client: client.recommend_many(
        [RecommendFor(user_id="user", history=[OwnEvent(item_id="i1", timestamp=1)], candidates=["i2"])]
    ),
    "recommend": lambda client: client.recommend("user", k=2, candidates=["i1", "i2"]),
    "ingest": lambda client: client.store_interactions(
        [Interaction(user_id="user", item_id="i1", timestamp=1.5, rating=4)]
    ),
    "forget_item": lambda client: client.forget_item("a/b", client_reference="zd-1"),
    "read_takedown": lambda client: client.read_takedown("a/b"),
    "list_takedowns": lambda client: client.list_takedowns(cursor=f"td_{'0' * 32}", limit=2),
    "list_runs": lambda client: client.list_runs(limit=2),
    "read_run": lambda client: client.read_run(f"/runs/{RUN}"),
    "list_adapters": lambda client: client.list_adapters(),
    "consolidate": lambda client: client.consolidate(),
    "roll_back_version": lambda client: client.roll_back_version("d" * 64),
    "healthz": lambda client: client.is_alive(),
    "readyz": lambda client: client.readiness(),
    "metrics": lambda client: client.metrics(),
}  # fmt: skip
# Operations that the client leaves out, each with the reason.
_OPENDSR = "for tools that speak OpenDSR by themselves; forget() and its like do more"
LEFT_OUT = {
    "stream_events": "a stream is followed by a reader of its own, such as httpx-sse",
    "submit_subject_request": _OPENDSR,
    "read_subject_request": _OPENDSR,
    "cancel_subject_request": _OPENDSR,
    "discover_processor": _OPENDSR,
    "read_processor_certificate": _OPENDSR,
}
# The schemas of those.
UNREAD = {
    "CancellationReceived",
    "Discovery",
    "RequestReceived",
    "RequestStatusView",
    "SubjectIdentity",
    "SubjectRequest",
    "SupportedIdentity",
}
# The document's names of the bodies that the client sends, or writes as arguments.
SENT = {
    "CancelBody",
    "DenyBody",
    "VerifyBody",
    "ExpediteBody",
    "ExtendBody",
    "ForgetBody",
    "ForgetUserBody",
    "HoldBody",
    "ReadmitBody",
    "RegisterBody",
    "ReplayBody",
    "SelectionBody",
    "TakedownBody",
}
# What the client calls a schema, where that is not the schema's name without `View`.
NAMES = {
    "AdaptersView": "Adapters",
    "ErrorView": "ItemError",
    "IngestView": "IngestResult",
}


def plain(answer: Any) -> Any:
    return answer.model_dump(mode="json") if isinstance(answer, BaseModel) else answer


def expected(name: str) -> Any:
    told = {"healthz": True, "metrics": "# HELP\n"}.get(name, ANSWERS.get(name))
    # Two fields of these come from headers.
    headers = {"existing": False, "receipt_salt": None}
    return told | headers if name in ("forget", "forget_user_in_body") else told


def test_every_operation_is_called_or_left_out_with_a_reason() -> None:
    assert {*CALLS, *LEFT_OUT} == OPERATIONS.keys()
    assert not CALLS.keys() & LEFT_OUT.keys()


@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_one_that_the_document_describes_and_the_whole_answer_is_read(name: str) -> None:
    service = DescribedService()
    with Client("http://lethe.test/", "key", transport=service) as client:
        answer = CALLS[name](client)
    assert service.called == [name]
    assert plain(answer) == expected(name)


def test_the_async_client_makes_the_same_calls() -> None:
    async def ask() -> dict[str, Any]:
        async with AsyncClient("http://lethe.test", "key", transport=DescribedService()) as client:
            return {name: plain(await call(client)) for name, call in CALLS.items()}

    assert asyncio.run(ask()) == {name: expected(name) for name in CALLS}


def test_both_clients_have_the_same_methods() -> None:
    def methods(client: type) -> dict[str, list[str]]:
        return {
            name: list(inspect.signature(method).parameters)
            for name, method in inspect.getmembers(client, inspect.isfunction)
            if not name.startswith("_")
        }

    assert methods(Client) == methods(AsyncClient)


def _schemas() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        if "properties" in schema and name not in SENT | UNREAD | {"Problem"}:
            yield NAMES.get(name, name.removesuffix("View")), schema


SCHEMAS = dict(_schemas())


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_field_of_an_answer_has_its_place(name: str) -> None:
    model = next(
        getattr(module, name)
        for module in (models, batches, evidence, items, recommending, versions, webhooks)
        if name in vars(module)
    )
    assert set(model.model_fields) == set(SCHEMAS[name]["properties"])


def values_of(schema: str, field: str | None = None) -> set[str]:
    described = DOCUMENT["components"]["schemas"][schema]
    if field is None:
        return set(described["enum"])
    one = described["properties"][field]
    choices = one.get("anyOf", [one])
    return {value for choice in choices for value in choice.get("enum", [choice.get("const")]) if value}


@pytest.mark.parametrize(
    ("literal", "values"),
    [
        (models.Reason, values_of("ForgetBody", "reason")),
        (models.Status, values_of("RequestStatus")),
        (models.VerificationMethod, values_of("VerifyBody", "method")),
        (models.DenialReason, values_of("DenyBody", "reason")),
        (models.HoldReason, values_of("HoldBody", "reason")),
        (models.CancelReason, values_of("CancelBody", "reason")),
        (models.ExtendReason, values_of("ExtendBody", "reason")),
        (models.ExpediteReason, values_of("ExpediteBody", "reason")),
        (models.ReadmitReason, values_of("ReadmitBody", "reason")),
        (models.Regime, values_of("Regime")),
        (webhooks.Recipient, values_of("Recipient")),
        (webhooks.Protocol, values_of("WebhookProtocol")),
    ],
)
def test_a_value_that_the_client_may_send_is_one_that_the_service_takes(
    literal: Any, values: set[str]
) -> None:
    assert set(literal.__args__) == values


def test_the_how_to_names_what_there_is() -> None:
    pages = [DOCS / "how-to" / "python-client.md", REPOSITORY / "clients" / "python" / "README.md"]
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    assert {name for name in re.findall(r"client\.(\w+)\(", text) if not hasattr(Client, name)} == set()
    assert {
        name for name in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for name in re.findall(r"\w+", name)
    } <= {*lethe_client.__all__}


def test_the_package_needs_httpx_and_pydantic_only() -> None:
    folder = Path(inspect.getfile(models)).parent
    imported = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
        for file in folder.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    others = {name.partition(".")[0] for name in imported} - sys.stdlib_module_names
    assert others == {"httpx", "lethe_client", "pydantic"}
