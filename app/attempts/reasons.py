"""Sentences for the record that say why a rung was chosen, refused or skipped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from app.db.models import Attempt


class SkipReason(StrEnum):
    """Why a rung was not tried."""

    NO_TIME = "no_time"  # the exact rung behind it would come too late
    NO_LEVELS = "no_levels"  # it needs levels, and they are missing for somebody
    SHORT_HISTORY = "short_history"  # the policy does not decide about histories as short as these
    UNFIT_ADAPTER = "unfit_adapter"  # its method cannot edit this adapter
    BY_RECORD = "by_record"  # earlier runs say that it is not worth its time


_BATCH, _COMPANY = "membership_z_of_undecided_subjects", "membership_z_of_those_let_through"
# The gate refuses no exact method for these measures: leaving somebody out affects others, and any model relearns.
_NOT_OF_EXACT_METHODS = ("neighbour_loss", "relearned")
# Descriptions of the measures, to follow "the check of". A measure that is not listed is called by its name.
CHECKS = {
    "membership_z": "whether the subject can still be told from people the model never saw",
    _BATCH: "whether those of whom it cannot be told alone can be told together",
    _COMPANY: "whether those let through can be told together",
    "membership_z_after_rounding": "what rounding the weights brings back",
    "relative_change_of_held_out_ndcg@10": "what it does to the ranking for the others",
    "relative_change_of_held_out_auc": "how well it tells what the others like",
    "held_out_loss": "what it does to the likelihoods for the others",
    "neighbour_loss": "what it takes from people with a similar taste",
    "relearned": "what a short relearning attack brings back",
    "tail_z": "whether a few items are still remembered",
}
_SKIPPED = {
    SkipReason.NO_TIME: "there was no time for it",
    SkipReason.NO_LEVELS: "it cannot be judged here",
    SkipReason.SHORT_HISTORY: "it cannot be judged for whoever asks",
    SkipReason.UNFIT_ADAPTER: "its method cannot edit the live version",
    SkipReason.BY_RECORD: "on this service it is not worth its time",
}


def why_skipped(code: str, detail: str) -> str:
    """Why a rung was not tried."""
    told = _SKIPPED.get(SkipReason(code)) if code in list(SkipReason) else None
    return f"skipped: {told or code}: {detail}"


def why_judged(attempt: Attempt) -> str:
    """The gate's judgement of an attempt, for the run as a whole."""
    if "error" in attempt.verdict:
        return f"refused{_draw(attempt)}: it could not be carried out: {attempt.verdict['error']}"
    subjects = attempt.verdict.get("subjects", [])
    if attempt.accepted:
        return f"chosen{_draw(attempt)}: {_let_through(attempt.decision)}"
    told = _of_the_run(attempt) or _of_company(attempt)
    if not told:
        refused = next((own for subject in subjects if (own := _told(_reasons(subject)))), "")
        told = f"no subject's own figures let it through; {refused}" if refused else ""
    return f"refused{_draw(attempt)}: {told or 'the gate lets nobody through'}"


def why_judged_for(attempt: Attempt, request_id: str, *, serves: bool) -> str:
    """The gate's judgement of an attempt, for one of its requests: by the run's figures and this request's only."""
    if serves or "error" in attempt.verdict:
        return why_judged(attempt)
    requests = attempt.requests or []
    subjects = attempt.verdict.get("subjects", [])
    place = requests.index(request_id) if request_id in requests else len(subjects)
    own = _told(_reasons(subjects[place])) if place < len(subjects) else ""
    if place in attempt.verdict.get("batch", []):
        own = "; ".join(part for part in (own, _failed_together(attempt, _BATCH)) if part)
    told = "; ".join(part for part in (_of_the_run(attempt), own or _of_company(attempt)) if part)
    if not told:
        # The gate let it through, but it is not published: another worker took the run over, or publishing comes later.
        return f"not what serves the request{_draw(attempt)}: {_let_through(attempt.decision)}"
    return f"refused{_draw(attempt)}: {told}"


def _of_the_run(attempt: Attempt) -> str:
    """The reasons against the run. For an exact method, `_NOT_OF_EXACT_METHODS` count only if there are no others."""
    reasons = attempt.verdict.get("reasons", [])
    if attempt.report.get("exact"):
        counted = [reason for reason in reasons if reason["measure"] not in _NOT_OF_EXACT_METHODS]
        return _told(counted) or _told(reasons)
    return _told(reasons)


def _of_company(attempt: Attempt) -> str:
    """The reason against subjects whose own figures pass; empty for an exact method, which is not judged by it."""
    return "" if attempt.report.get("exact") else _failed_together(attempt, _COMPANY)


def _failed_together(attempt: Attempt, measure: str) -> str:
    """The failure of a measure over several subjects together. It is no reason against the rest of the run."""
    return "; ".join(
        _sentence(reason, "failed")
        for reason in attempt.verdict.get("reasons", [])
        if reason["measure"] == measure and reason["passed"] is False
    )


def _let_through(decision: str) -> str:
    if decision == "pass":
        return "it passed every check of the gate"
    if decision == "inconclusive":
        return "nothing that the gate can tell speaks against it"
    return "the policy lets it through for those of whom nothing that counts speaks against it"


def _draw(attempt: Attempt) -> str:
    return " (drawn again with another seed)" if attempt.config.get("seed_offset") else ""


def _reasons(subject: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    # An earlier release recorded one reason only.
    reasons: Sequence[Mapping[str, Any]] = subject.get("reasons") or [subject["reason"]]
    return reasons


def _told(reasons: Sequence[Mapping[str, Any]]) -> str:
    """The reasons against: failed measures, or else inconclusive ones; empty if there are none."""
    binding = [reason for reason in reasons if reason.get("binding", True)]
    against = [reason for reason in binding if reason["passed"] is False]
    verb = "failed"
    if not against:
        against, verb = [reason for reason in binding if reason["passed"] is None], "could not tell"
    return "; ".join(_sentence(reason, verb) for reason in against)


def _sentence(reason: Mapping[str, Any], verb: str) -> str:
    return f"the check of {CHECKS.get(reason['measure'], reason['measure'])} {verb} ({reason['detail']})"
