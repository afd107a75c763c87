"""What every answer carries, what the API says of itself, and whether it may be read by everybody."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, text

from app.api_keys.service import Scope
from app.db.session import Database
from app.main import create_app
from app.settings import Settings
from tests.integration.http.conftest import issue_key

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@ON_SQLITE
def test_no_answer_is_shown_elsewhere_or_kept_unless_it_is_a_public_file(client: TestClient) -> None:
    for path in ("/", "/docs", "/healthz", "/runs", "/recommend", "/nothing", "/static/nothing", "/metrics"):
        answer = client.get(path)
        assert answer.headers["X-Content-Type-Options"] == "nosniff", path
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"], path
        assert answer.headers["Referrer-Policy"] == "no-referrer", path
        assert "no-store" in answer.headers["Cache-Control"], path
    assert client.get("/static/dashboard.css").headers["Cache-Control"] == "public, max-age=3600"


@ON_SQLITE
def test_the_docs_load_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/docs")
    links = re.findall(r"(?:src|href)=\"([^\"]+)\"", page.text)
    assert len(links) == 3
    for link in links:
        assert client.get(link).status_code == 200, link
    assert "://" not in page.text
    assert "connect-src 'self'" in page.headers["Content-Security-Policy"]


@ON_SQLITE
def test_the_docs_need_a_scope_in_production(
    settings: Settings, client: TestClient, database: Database
) -> None:
    without = issue_key(database, "without", *(set(Scope) - {Scope.DOCS_READ}))
    for path in ("/docs", "/openapi.json"):
        assert client.get(path).status_code == 200
        assert client.get(path, headers={"Authorization": ""}).status_code == 401
        assert client.get(path, headers={"Authorization": f"Bearer {without}"}).status_code == 403
    developing = settings.model_copy(update={"environment": "development"})
    with TestClient(create_app(developing)) as opened:
        assert opened.get("/docs").status_code == opened.get("/openapi.json").status_code == 200


@ON_SQLITE
def test_the_description_says_what_is_answered(client: TestClient) -> None:
    openapi = client.get("/openapi.json").json()
    forget = openapi["paths"]["/users/{user_id}/forget"]["post"]["responses"]
    assert set(forget) == {"200", "202", "400", "401", "403", "409", "413", "422", "429", "503"}
    for status in ("400", "401", "422", "503"):
        content = forget[status]["content"]
        (kind,) = content
        assert kind == "application/problem+json"
        assert content[kind]["schema"] == {"$ref": "#/components/schemas/Problem"}
    assert openapi["components"]["schemas"]["Problem"]["required"]
    assert set(openapi["paths"]["/metrics"]["get"]["responses"]["200"]["content"]) == {"text/plain"}
    assert "404" in openapi["paths"]["/runs/{run_id}"]["get"]["responses"]
    assert "503" in openapi["paths"]["/readyz"]["get"]["responses"]


def test_readiness_says_when_the_database_cannot_write(client: TestClient, settings: Settings) -> None:
    assert client.get("/readyz").json()["database_writes"]
    with _nobody_writes(settings.database_url):
        answer = client.get("/readyz")
        assert answer.status_code == 503
        assert (answer.json()["database"], answer.json()["database_writes"]) == (True, False)
    while not client.get("/readyz").json()["database_writes"]:
        time.sleep(0.1)


@contextmanager
def _nobody_writes(url: str) -> Iterator[None]:
    """Reads go on."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        if engine.dialect.name == "sqlite":
            connection.connection.driver_connection.execute("BEGIN IMMEDIATE")  # type: ignore[union-attr]
        else:
            connection.execute(text("LOCK TABLE ledger IN SHARE MODE"))
        yield
        connection.rollback()
    engine.dispose()
