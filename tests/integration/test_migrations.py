"""The migrations and the models describe the same schema, and applying them is safe to repeat."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import JSON, Engine, column, insert, inspect, select, table, text
from sqlalchemy.orm import Session

from app.attempts import queries as attempts
from app.db.base import Base, utc_now
from app.db.models import ApiKey, Attempt, Interaction, NeverSeenLevel, SkippedRung
from app.db.schema import migrate, require_current_schema
from app.db.session import open_database
from app.interactions import queries as interactions
from app.levels import queries as levels
from tests.postgres_server import PostgresServer

REPOSITORY = Path(__file__).parents[2]


def test_what_the_migrations_build_is_what_the_models_say(database_url: str) -> None:
    engine = open_database(database_url, pooled=False)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, Base.metadata) == []
        assert set(inspect(connection).get_table_names()) == {*Base.metadata.tables, "alembic_version"}
    engine.dispose()


def test_there_is_one_line_of_revisions() -> None:
    script = ScriptDirectory.from_config(Config(toml_file=REPOSITORY / "pyproject.toml"))
    assert len(script.get_heads()) == 1
    assert len(script.get_bases()) == 1


def test_migrating_again_changes_nothing(database_url: str) -> None:
    engine = open_database(database_url, pooled=False)
    with engine.connect() as connection:
        before = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
    migrate(engine)
    require_current_schema(engine)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all() == before
    engine.dispose()


def test_what_an_earlier_release_wrote_survives_and_it_can_go_on_writing(database_url: str) -> None:
    """Down to the first revision, as the earlier release left it; up again, while that release still writes."""
    engine = open_database(database_url, pooled=False)
    attempt = (
        "INSERT INTO attempts (run_id, fence, step, method, config, policy_hash, started_at, finished_at, decision, "
        "accepted, report, verdict) VALUES ('ur_1', 1, {step}, 'ucan', '{{}}', 'f', CURRENT_TIMESTAMP, "
        "CURRENT_TIMESTAMP, 'fail', {false}, '{{}}', '{{}}')"
    )
    false = "false" if engine.dialect.name == "postgresql" else "0"
    request = (
        "INSERT INTO forget_requests (id, subject_hmac, epoch, status, requested_by, received_at, due_at) "
        "VALUES ('fr_{epoch}', '{epoch}', {epoch}, 'queued', 'tests', CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)"
    )
    back_to(engine, "0001_create_tables")
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO runs (id, status, stage, created_at, claims, fence) "
            "VALUES ('ur_1', 'queued', 'waiting', CURRENT_TIMESTAMP, 1, 1)"
        )
        connection.exec_driver_sql(attempt.format(step=0, false=false))
        connection.exec_driver_sql(request.format(epoch=1))
    migrate(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql(attempt.format(step=1, false=false))
        connection.exec_driver_sql(request.format(epoch=2))
        rows = connection.exec_driver_sql("SELECT step, number, requests FROM attempts ORDER BY id").all()
        steps = connection.exec_driver_sql("SELECT first_step FROM forget_requests").scalars().all()
    assert [tuple(row) for row in rows] == [(0, None, None), (1, None, None)]
    assert steps == [0, 0]
    engine.dispose()


def test_levels_of_the_previous_release_count_as_not_made_and_go_with_it(database_url: str) -> None:
    """It writes on while the columns change; what only the new release can write does not survive the way back."""
    engine = open_database(database_url, pooled=False)
    old = (
        "INSERT INTO never_seen_levels (subject_hmac, watermark, smoothing, nll, smoothed_nll, deviation, created_at) "
        "VALUES ('{name}', 7, 0.2, 4.0, 3.0, 0.5, CURRENT_TIMESTAMP)"
    )
    back_to(engine, "0004_never_seen_levels")
    with engine.begin() as connection:
        connection.exec_driver_sql(old.format(name="before"))
    migrate(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql(old.format(name="while"))
    with Session(engine) as session:
        assert not levels.are_made(session, watermark=7, smoothing=0.2)
        assert not levels.of_subjects(session, ["before", "while"], watermark=7, smoothing=0.2)
        session.add(
            NeverSeenLevel(
                subject_hmac="after",
                watermark=7,
                smoothing=0.2,
                smoothed_nll=3.0,
                deviation=0.5,
                seen_smoothed_nll=2.0,
                created_at=utc_now(),
            )
        )
        session.commit()
        assert levels.are_made(session, watermark=7, smoothing=0.2)
    back_to(engine, "0004_never_seen_levels")
    with engine.begin() as connection:
        left = connection.exec_driver_sql("SELECT subject_hmac FROM never_seen_levels ORDER BY subject_hmac")
        assert left.scalars().all() == ["before", "while"]
    migrate(engine)
    engine.dispose()


def test_attempts_and_skipped_rungs_of_the_previous_release_are_found_by_their_requests(
    database_url: str,
) -> None:
    """Also what an earlier one wrote, which named nobody, and who is not there any more is not tied to anything."""
    engine = open_database(database_url, pooled=False)
    back_to(engine, "0010_level_makings")
    now = utc_now()
    written = [["fr_1", "fr_2"], ["fr_2", "fr_2", "fr_gone"], [], None]
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO runs (id, status, stage, created_at, claims, fence) "
            "VALUES ('ur_1', 'queued', 'waiting', CURRENT_TIMESTAMP, 1, 1)"
        )
        for epoch in (1, 2):
            connection.exec_driver_sql(
                "INSERT INTO forget_requests (id, subject_hmac, epoch, status, requested_by, received_at, due_at) "
                f"VALUES ('fr_{epoch}', '{epoch}', {epoch}, 'queued', 'tests', CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)"
            )
        for number, requests in enumerate(written):
            connection.execute(
                insert(Attempt).values(
                    run_id="ur_1",
                    fence=1,
                    number=number,
                    step=0,
                    requests=requests,
                    method="ucan",
                    config={},
                    policy_hash="f",
                    started_at=now,
                    finished_at=now,
                    decision="fail",
                    accepted=False,
                    report={},
                    verdict={},
                )
            )
        connection.execute(
            insert(SkippedRung).values(
                run_id="ur_1",
                fence=1,
                step=0,
                requests=["fr_1"],
                method="ucan",
                config={},
                rung_digest="e",
                code="no_time",
                detail="tests",
                skipped_at=now,
            )
        )
    migrate(engine)
    with Session(engine) as session:
        found = {
            request: [one.number for one in attempts.of_request(session, request)]
            for request in ("fr_1", "fr_2", "fr_gone")
        }
        assert found == {"fr_1": [0], "fr_2": [0, 1], "fr_gone": []}
        assert [one.step for one in attempts.skipped_for_request(session, "fr_1")] == [0]
        assert not attempts.skipped_for_request(session, "fr_2")
    back_to(engine, "0010_level_makings")
    migrate(engine)
    engine.dispose()


def test_a_key_for_jobs_opens_the_runs_and_still_works_for_the_previous_release(database_url: str) -> None:
    engine = open_database(database_url, pooled=False)
    back_to(engine, "0012_outbox")
    issued = {"old": ["forget:read", "jobs:read"], "other": ["forget:read"]}
    names = [column(name) for name in ("key_digest", "name", "created_at")]
    former = table("api_keys", *names, column("scopes", JSON))
    with engine.begin() as connection:
        for name, scopes in issued.items():
            key = {
                "key_digest": name * 8,
                "name": name,
                "scopes": scopes,
                "created_at": "2026-01-01 00:00:00",
            }
            connection.execute(insert(former).values(key))
    migrate(engine)
    assert scopes_of(engine) == {"old": ["forget:read", "jobs:read", "runs:read"], "other": ["forget:read"]}
    with Session(engine) as session:
        session.add(ApiKey(key_digest="new", name="new", scopes=["runs:read"], created_at=utc_now()))
        session.commit()
    back_to(engine, "0012_outbox")
    assert scopes_of(engine) == {**issued, "new": ["jobs:read"]}
    migrate(engine)
    engine.dispose()


def test_of_several_keys_of_a_name_the_newest_stays_for_the_previous_release(database_url: str) -> None:
    engine = open_database(database_url, pooled=False)
    with Session(engine) as session:
        for name, rotation in (("crm", 0), ("crm", 1), ("shop", 0)):
            session.add(
                ApiKey(
                    key_digest=f"{name}{rotation}",
                    name=name,
                    rotation=rotation,
                    scopes=[],
                    created_at=utc_now(),
                )
            )
        session.commit()
    back_to(engine, "0014_ratings")
    with engine.connect() as connection:
        left = connection.exec_driver_sql("SELECT key_digest FROM api_keys ORDER BY 1").scalars().all()
    assert left == ["crm1", "shop0"]
    migrate(engine)
    engine.dispose()


def test_the_previous_release_goes_on_writing_events_without_ratings(database_url: str) -> None:
    engine = open_database(database_url, pooled=False)
    event = "INSERT INTO interactions (subject_hmac, item_id, timestamp) VALUES ('{user}', 'i', 1)"
    back_to(engine, "0013_runs_read")
    with engine.begin() as connection:
        connection.exec_driver_sql(event.format(user="before"))
    migrate(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql(event.format(user="while"))
    with Session(engine) as session:
        session.add(Interaction(subject_hmac="after", item_id="i", timestamp=1, rating=4.5))
        session.commit()
        found = interactions.rated_histories(session, up_to=3)
    assert found == {"before": [("i", None)], "while": [("i", None)], "after": [("i", 4.5)]}
    engine.dispose()


def scopes_of(engine: Engine) -> dict[str, list[str]]:
    with Session(engine) as session:
        return {row.name: row.scopes for row in session.execute(select(ApiKey.name, ApiKey.scopes))}


def back_to(engine: Engine, revision: str) -> None:
    config = Config(toml_file=REPOSITORY / "pyproject.toml")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, revision)


def test_several_processes_may_migrate_an_empty_database_at_once(postgres: PostgresServer) -> None:
    url = postgres.create()
    environment = os.environ | {"LETHE_ENVIRONMENT": "development", "LETHE_DATABASE_URL": url}
    lethe = [sys.executable, "-m", "cli.main", "migrate"]
    try:
        running = [subprocess.Popen(lethe, cwd=REPOSITORY, env=environment) for _ in range(3)]
        assert [process.wait(timeout=120) for process in running] == [0, 0, 0]
        engine = open_database(url, pooled=False)
        require_current_schema(engine)
        engine.dispose()
    finally:
        postgres.drop(url)
