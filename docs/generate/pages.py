"""Which page is written by what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from docs.generate.api import api_page
from docs.generate.async_client import ASYNC_CLIENT
from docs.generate.commands import commands_page
from docs.generate.document import openapi_page
from docs.generate.policy import policy_page
from docs.generate.receipts import VECTORS, vector
from docs.generate.settings import settings_page
from docs.generate.states import states_page

REFERENCE = Path(__file__).parents[1] / "reference"
PAGES: Mapping[Path, Callable[[], str]] = {
    REFERENCE / "api.md": api_page,
    REFERENCE / "commands.md": commands_page,
    REFERENCE / "openapi.json": openapi_page,
    REFERENCE / "policy.md": policy_page,
    REFERENCE / "settings.md": settings_page,
    **ASYNC_CLIENT,
    REFERENCE / "states.md": states_page,
    **{REFERENCE / "receipts" / name: partial(vector, name) for name in VECTORS},
}
