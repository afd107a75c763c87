"""Requests made from the API's own description, good and bad, at a real server: it answers what it describes."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.schemas import APIOperation

from inputs import moment
from tests.integration.http.conftest import install_on_sqlite
from tests.integration.http.gateway_process import GatewayProcess, gateway_process

SEED = 13
EXAMPLES = 30


@pytest.fixture(scope="module")
def gateway(
    migrated_file: Path, base_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("fuzzed")
    installation, key = install_on_sqlite(migrated_file, base_folder, folder)
    with gateway_process(installation, key, folder) as started:
        yield started
    assert "request.failed" not in started.log.read_text()


def test_every_answer_is_one_that_is_described(gateway: GatewayProcess) -> None:
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
                _fuzz(operation, mode, gateway)
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


def _fuzz(operation: APIOperation, mode: GenerationMode, gateway: GatewayProcess) -> None:
    @seed(SEED)
    @settings(
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
