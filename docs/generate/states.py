"""The life of a forget request: every state, and every event that may happen in it."""

from __future__ import annotations

import ast
import inspect

from app.db.models import statuses
from app.db.models.statuses import SETTLED, RequestStatus
from app.forget_requests import states
from app.forget_requests.decisions import BY_EVENT
from app.forget_requests.policy import WITHOUT_STEPS
from app.forget_requests.states import CREATED, REQUESTS, RequestEvent
from docs.generate.markdown import table

_HEAD = """# The life of a request

Written by `make docs` from `app/forget_requests/states.py`, the one table by which every status is written. An event
that a state does not name may not happen in it: the API answers 409 `illegal-transition` with `status_now` and the
actions that are `allowed`. There is no `failed`: an erasure can only be late.

The subject is suppressed in every state but `pending_verification`, `cancelled` and `denied`. The clock never stops.
"""

_FIRST = """What a service or a person
with a key sends is verified in the same transaction, and so is what an end user sends, unless the request policy asks
for more. Where the policy asks for no approval and has no cancel window, it is queued in that transaction too."""

_LONGEST = """*Longest* is the default of `longest_hours` of [the request policy](../how-to/decide.md#stalled-requests):
a request that stays in a state for longer is `stalled`. In `pending_verification` the hours count from `verify_until`,
in `scheduled` from `cancel_until`, where the state should have ended by itself. A hold is stalled from its `review_at`
on, and after these hours where the review is later."""


def states_page() -> str:
    """One row for each transition, with the action or the part of the service that causes it."""
    of_state, of_event = _comments(statuses, "RequestStatus"), _comments(states, "RequestEvent")
    actions = {event: f"`POST …/{action}`" for event, action in BY_EVENT.items()}
    lines = [_HEAD, "## States", ""]
    rows = [
        [f"`{state}`", of_state.get(state.name, ""), _longest(state), "yes" if state in SETTLED else ""]
        for state in RequestStatus
    ]
    lines += table(["state", "meaning", "longest, in hours", "over"], rows)
    lines += ["", _LONGEST, "", f"Every request begins as `{CREATED}`. {_FIRST}", "", "## Events", ""]
    lines += table(
        ["event", "meaning", "from", "to", "by"],
        [
            [
                f"`{event}`",
                of_event.get(event.name, ""),
                ", ".join(f"`{state}`" for state in REQUESTS.before(event)),
                ", ".join(sorted({f"`{REQUESTS.table[state, event]}`" for state in REQUESTS.before(event)})),
                actions.get(event, "the service"),
            ]
            for event in RequestEvent
        ],
    )
    return "\n".join(lines) + "\n"


def _longest(state: RequestStatus) -> str:
    """The default limit of a state in hours; nothing for an end."""
    hours = {} if state in SETTLED else WITHOUT_STEPS.longest_hours.model_dump()
    return f"{hours[state]:g}" if state in hours else ""


def _comments(module: object, kind: str) -> dict[str, str]:
    """The comments behind the members of an enumeration, by their names."""
    source = inspect.getsource(module)  # type: ignore[arg-type]
    lines = source.splitlines()
    found = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef) and node.name == kind:
            for one in node.body:
                if isinstance(one, ast.Assign) and isinstance(one.targets[0], ast.Name):
                    # A comment that makes the line too long stands within parentheses, behind the value.
                    _, _, comment = lines[(one.value.end_lineno or one.lineno) - 1].partition("  # ")
                    found[one.targets[0].id] = comment
    return found
