"""What a rung's own record on this service says of it, in the terms of the rule that judges it."""

from __future__ import annotations

from dataclasses import asdict, replace
from statistics import fmean

from sqlalchemy.orm import Session

from app.attempts import queries as attempts
from unlearning import Policy, Rung, TrackRecord, build_method
from unlearning.records import canonical_json, sha256_hex, to_plain
from worker.versions import FitRecord

# What says nothing about whether a candidate passes.
_NOT_OF_THE_GATE = ("name", "ladder", "exact_draws", "skipping", "consolidation", "schema")


def rung_digest(
    policy: Policy, rung: Rung, base_digest: str, fit: FitRecord, *, levels_are_known: bool
) -> str:
    """The name of a rung's record: attempts with another configuration, defaults included, on another base, on an
    adapter of another shape or recipe, before another gate, or where it was otherwise known how far to go, say nothing
    about this one.

    Args:
        fit: of the version that is edited; another draw of it is the same.
    """
    gate = {name: value for name, value in asdict(policy).items() if name not in _NOT_OF_THE_GATE}
    config = to_plain(build_method(rung.method, rung.config).config)
    same = {"method": rung.method, "config": config, "search": rung.search, "levels": levels_are_known}
    adapter = {"shape": fit.adapter_config.to_plain(), "recipe": replace(fit.training, seed=0).to_plain()}
    return sha256_hex(canonical_json({"rung": same, "base": base_digest, "adapter": adapter, "gate": gate}))


def track_record(session: Session, digest: str, *, watermark: int) -> TrackRecord | None:
    """The record of the rung with this digest; None where it has none.

    Args:
        watermark: of the live version.
    """
    found = attempts.runs_of_rung(session, digest)
    if not found:
        return None
    refused = [run.seconds_after for run in found if not run.passed]
    return TrackRecord(
        runs=len(found),
        passed=sum(run.passed for run in found),
        passed_last=found[0].passed,
        seconds=fmean(run.seconds for run in found),
        seconds_after=fmean(refused) if refused else 0.0,
        same_fit=found[0].watermark == watermark,
        skipped_since=attempts.runs_without(session, digest, since_fence=found[0].fence),
    )
