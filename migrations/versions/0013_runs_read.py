"""Keys that may read jobs may read runs: the API has one word for what a worker executes.

Expand: a key keeps the former scope, which the previous release still asks for.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013_runs_read"
down_revision = "0012_outbox"

_FORMER, _SCOPE = "jobs:read", "runs:read"
_KEYS = sa.table("api_keys", sa.column("key_digest", sa.String()), sa.column("scopes", sa.JSON()))


def upgrade() -> None:
    for digest, scopes in _scopes():
        if _FORMER in scopes and _SCOPE not in scopes:
            _write(digest, [*scopes, _SCOPE])


def downgrade() -> None:
    """A key that was issued since has the new scope alone; the previous release asks for the former one."""
    for digest, scopes in _scopes():
        if _SCOPE in scopes:
            kept = [scope for scope in scopes if scope not in (_FORMER, _SCOPE)]
            _write(digest, [*kept, _FORMER])


def _scopes() -> list[tuple[str, list[str]]]:
    return [(row.key_digest, row.scopes) for row in op.get_bind().execute(sa.select(_KEYS)).all()]


def _write(digest: str, scopes: list[str]) -> None:
    op.get_bind().execute(sa.update(_KEYS).where(_KEYS.c.key_digest == digest).values(scopes=scopes))
