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


def accepted(received_at: str, due_at: str, epoch: int) -> str:
    return (
        f"The request was received at {received_at} and is due at {due_at}. The suppression of its subject was "
        f"recorded in the same transaction, as epoch {epoch}."
    )


def completed(outcome: str, method: str | None, decision: str | None, policy_hash: str | None) -> str:
    """What was executed.

    Args:
        method: the method whose result serves the request; None if no version was made for it.
        decision: the gate's decision about that result.
    """
    if outcome == "no_data":
        done = (
            "No version, base or statistic on record had read the subject, so no model was edited. What was stored of "
            "the subject's interactions was erased."
        )
    elif method is None:
        done = (
            "No version was made for this request: every version on record that had read the subject is destroyed or "
            "was replaced by one fitted without them. What was stored of the subject's interactions was erased."
        )
    else:
        done = (
            f"The procedure {method} was executed, and the gate decided {decision} about its result under the policy "
            f"{policy_hash}, with the numbers listed in attempts. The versions listed in destroyed_versions were "
            "destroyed, and what was stored of the subject's interactions was erased."
        )
    return f"{done} {LIMITS}"
