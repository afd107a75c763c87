"""Bodies of the targets of a request."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from app.db.models import ForgetTarget


class TargetView(BaseModel):
    """Another system that holds the user, and whether it has done its part."""

    name: str
    mandatory: bool = Field(description="whether the request waits for it")
    state: Literal["notified", "acknowledged"]
    at: datetime = Field(description="when it was told, or has acknowledged")

    @classmethod
    def of(cls, target: ForgetTarget) -> TargetView:
        done = target.acknowledged_at
        return cls(
            name=target.name,
            mandatory=target.mandatory,
            state="notified" if done is None else "acknowledged",
            at=done or target.notified_at,
        )
