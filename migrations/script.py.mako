"""${message}

The previous release runs while this is applied. Before merging, say here:
- does the old code still work on the new schema?
- does any statement rewrite or lock a table that takes traffic?
- expand, backfill or contract? (one of them per revision)
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
