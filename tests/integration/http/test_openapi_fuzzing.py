"""Requests made from the API's own description, good and bad, at a real server: it answers what it describes."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, seed
from hypothesis import settings as hypothesis_settings
from hypothesis.errors import Unsatisfiable
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.schemas import APIOperation

from app.api_keys.service import Scope
from app.db.session import Database
from app.settings import Settings
from inputs import moment
from tests.integration.http.conftest import issue_key
from tests.integration.http.gateway_process import GatewayProcess, gateway_process

# Of an operation and a mode on each database; the seeds differ, so that more is asked in all.
EXAMPLES = 15
SEEDS = {"sqlite": 13, "postgresql": 14}


@pytest.fixture
def gateway(
    settings: Settings, database: Database, installed: str, tmp_path: Path
) -> Iterator[GatewayProcess]:
    key = issue_key(database, "everything", *Scope)
    with gateway_process(settings, key, tmp_path) as started:
        yield started
    assert "request.failed" not in started.log.read_text()


@pytest.mark.both_databases
def test_every_answer_is_one_that_is_described(gateway: GatewayProcess, database: Database) -> None:
    drawn_from = SEEDS[database.engine.dialect.name]
    with gateway.client() as client:
        document = client.get("/openapi.json").json()
    described = schemathesis.openapi.from_dict(document)
    operations = [found.ok() for found in described.get_all_operations()]
    assert {operation.label for operation in operations} >= {"POST /users/{user_id}/forget", "GET /metrics"}
    found: list[str] = []
    for operation in operations:
        if "text/event-stream" in operation.definition.raw["responses"].get("200", {}).get("content", {}):
            # Its answer has no end.
            continue
        for mode in GenerationMode:
            try:
                _fuzz(operation, mode, gateway, drawn_from)
            except (FailureGroup, BaseExceptionGroup) as failures:
                found += [f"{operation.label}, {mode.value}: {failures}"]
            except Failure as failure:
                found += [f"{operation.label}, {mode.value}: {failure}"]
    assert found == [], "\n".join(found)


def _schema_says_all(body: object) -> bool:
    """Whether nothing is wrong with a body that no schema can express: a period without length, or a regime that the
    request policy of this service does not have.
    """
    if not isinstance(body, dict):
        return True
    selection = body.get("interactions")
    period = (None, None)
    if isinstance(selection, dict):
        period = selection.get("after"), selection.get("before")
    lasts = None in period or moment(period[0]).seconds < moment(period[1]).seconds
    return lasts and body.get("regime") != "policy"


def _fuzz(operation: APIOperation, mode: GenerationMode, gateway: GatewayProcess, drawn_from: int) -> None:
    @seed(drawn_from)
    @hypothesis_settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: schemathesis.Case) -> None:
        assume(mode is GenerationMode.NEGATIVE or _schema_says_all(case.body))
        headers = {"Authorization": f"Bearer {gateway.key}"}
        key = (case.headers or {}).get("Idempotency-Key")
        if isinstance(key, str) and re.fullmatch(r"[\x21-\x7e]{1,255}", key):
            # It is valid with one request only, and the same few are drawn again and again.
            case.headers["Idempotency-Key"] = uuid.uuid4().hex
        case.call_and_validate(base_url=gateway.url, headers=headers)

    try:
        ask()
    except Unsatisfiable:
        # Nothing can be wrong with a request that takes nothing.
        assert mode is GenerationMode.NEGATIVE
