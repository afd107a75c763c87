"""A rung's track record: what its attempts on this service have come to."""

from __future__ import annotations

from dataclasses import asdict, replace
from statistics import fmean

from sqlalchemy.orm import Session

from app.attempts import queries as attempts
from recommender import Base
from unlearning import Policy, Rung, TrackRecord, build_method
from unlearning.records import canonical_json, sha256_hex, to_plain
from worker.versions import FitRecord

# Fields of the policy that do not affect whether a candidate passes.
_NOT_OF_THE_GATE = ("name", "ladder", "exact_draws", "skipping", "consolidation", "schema")


def rung_digest(policy: Policy, rung: Rung, base: Base, fit: FitRecord, *, levels_are_known: bool) -> str:
    """The name of a rung's track record.

    Attempts share a record only if they agree in everything that can affect the result: the configuration with its
    defaults, the base and its items, the adapter's shape and recipe, the gate's thresholds, and whether levels were
    known.

    Args:
        fit: of the version that is edited; another draw of the same fit gives the same name.
    """
    gate = {name: value for name, value in asdict(policy).items() if name not in _NOT_OF_THE_GATE}
    config = to_plain(build_method(rung.method, rung.config).config)
    same = {"method": rung.method, "config": config, "search": rung.search, "levels": levels_are_known}
    adapter = {"shape": fit.adapter_config.to_plain(), "recipe": replace(fit.training, seed=0).to_plain()}
    place = [base.digest, base.catalogue_digest]
    return sha256_hex(canonical_json({"rung": same, "base": place, "adapter": adapter, "gate": gate}))


def track_record(session: Session, digest: str, *, watermark: int) -> TrackRecord | None:
    """The track record of the rung with this digest; None if it has none.

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
