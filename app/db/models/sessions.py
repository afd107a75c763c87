"""Sessions of people who use the dashboard."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, false
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base
from app.db.models.columns import Digest


class DashboardSession(Base):
    """One log-in with an API key. Only the SHA-256 of its token is stored; the browser alone has the token.

    ``last_used_at`` is written at most once a minute, and only for what a person does. ``looks_only``: the session may
    change nothing, whatever its key may do.
    """

    __tablename__ = "dashboard_sessions"
    token_digest: Mapped[str] = mapped_column(Digest, primary_key=True)
    key_digest: Mapped[str] = mapped_column(ForeignKey("api_keys.key_digest"), index=True)
    created_at: Mapped[datetime]
    last_used_at: Mapped[datetime]
    ends_at: Mapped[datetime] = mapped_column(index=True)
    looks_only: Mapped[bool] = mapped_column(default=False, server_default=false())
