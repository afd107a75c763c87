"""Which steps a request goes through before a run may take it: the request policy, a validated JSON file."""

from __future__ import annotations

from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.failures import SettingError
from app.settings import Settings

PACKAGED = ("default", "strict")
# A third of the shortest month: the rest is left for the erasure itself.
_LONGEST_WINDOW_HOURS = 28 * 24 / 3


class RequestPolicy(BaseModel):
    """The steps of a request. The suppression starts at acceptance, whatever the policy says.

    ``approval``: a second person must approve. ``cancel_window_hours``: a request waits so long before it is queued,
    so that it can be cancelled; it can also be cancelled later, until a run takes it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    approval: bool = False
    cancel_window_hours: float = Field(0, ge=0, le=_LONGEST_WINDOW_HOURS, allow_inf_nan=False)

    def window_end(self, now: datetime) -> datetime | None:
        """When a window that opens now ends; None if there is no window."""
        return now + timedelta(hours=self.cancel_window_hours) if self.cancel_window_hours else None


WITHOUT_STEPS = RequestPolicy()


def load_request_policy(settings: Settings) -> RequestPolicy:
    """The policy that ``LETHE_REQUEST_POLICY`` names: one that is packaged, or a file.

    Raises:
        SettingError: the file cannot be read, or is not a valid policy.
    """
    name = settings.request_policy
    try:
        text = (
            (files(__package__) / "policies" / f"{name}.json").read_text(encoding="utf-8")
            if name in PACKAGED
            else Path(name).read_text(encoding="utf-8")
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SettingError(f"LETHE_REQUEST_POLICY: cannot read {name}: {reason}") from error
    try:
        return RequestPolicy.model_validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise SettingError(f"LETHE_REQUEST_POLICY: {name}: {where}: {first['msg']}") from error
