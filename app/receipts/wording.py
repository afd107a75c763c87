"""The sentences in receipts (requirement R-38).

A receipt says which procedure was executed and which numbers the gate measured. Nothing can show that a model holds no
trace of somebody (Thudi et al., arXiv 2110.11891): the same weights can come from other data. So no sentence says it.

Pure module.
"""

from __future__ import annotations

LIMITS = (
    "This receipt says what was executed and measured. It makes no statement about what anybody could still infer from "
    "a model."
)
# The method that fits anew, without what is to be forgotten.
_EXACT = "refit"


def accepted(received_at: str, due_at: str, epoch: int, selected: int | None = None) -> str:
    """What was promised.

    Args:
        selected: how many stored interactions were selected; None if the request is about the whole person.
    """
    if selected is None:
        what = "The suppression of its subject was recorded in the same transaction"
    else:
        what = (
            f"The {selected} stored interactions of its subject that it selects were hidden in the same transaction; "
            "the subject is not suppressed"
        )
    return f"The request was received at {received_at} and is due at {due_at}. {what}, as epoch {epoch}."


def completed(
    outcome: str,
    method: str | None,
    decision: str | None,
    policy_hash: str | None,
    *,
    selection: bool = False,
) -> str:
    """What was executed.

    Args:
        method: the method whose result serves the request; None if no version was made for it.
        decision: the gate's decision about that result.
        selection: whether the request is about some of the subject's interactions only.
    """
    read = "the selected interactions" if selection else "the subject"
    erased = (
        "What was stored of the selected interactions was erased; the subject's other interactions stay."
        if selection
        else "What was stored of the subject's interactions was erased."
    )
    if outcome == "no_data":
        done = f"No version, base or statistic on record had read {read}, so no model was edited."
    elif method is None:
        done = (
            f"No version was made for this request: every version on record that had read {read} is destroyed or was "
            "replaced by one fitted without them."
        )
    else:
        done = (
            f"The procedure {method} was executed, and the gate decided {decision} about its result under the policy "
            f"{policy_hash}, with the numbers listed in attempts. {_let_through(method, decision)}The versions listed "
            "in destroyed_versions were destroyed."
        )
    return f"{done} {erased} {LIMITS}"


def _let_through(method: str, decision: str | None) -> str:
    """Why a result that did not pass serves all the same."""
    if decision == "pass" or method != _EXACT:
        return ""
    return (
        "It was fitted anew without what was to be forgotten, and the policy lets such a result be served although "
        "some measures failed or could not be told; attempts says which. "
    )
