"""Checks when a process starts, not during a run, that the policy's rungs can edit the live adapter."""

from __future__ import annotations

from dataclasses import replace

import structlog

from app.db.session import Database
from app.failures import SettingError
from app.settings import Settings
from app.versions import queries as pointer
from model_store import Store, StoreError
from recommender import Adapter, Base, ItemTokenStyle, RecommenderError
from unlearning import Policy, build_method, why_not
from unlearning.policy.strata import Stratum
from worker.versions import load_version

log = structlog.get_logger()


# The prompt styles for which `lethe bench gate` measured how often the default policy errs.
_MEASURED_STYLES = (ItemTokenStyle.name,)


def policy_for_style(settings: Settings, policy: Policy, base: Base) -> Policy:
    """The policy, limited to what was measured: on an unmeasured prompt style the default policy decides about no edit.

    The strata of the default policy say for which history lengths the gate's error rates are known. They were measured
    for some styles only. On other styles membership is inconclusive, and users are forgotten by exact re-fits. A policy
    that was written for this service is left as it is.
    """
    if settings.policy_file is not None or base.style.name in _MEASURED_STYLES:
        return policy
    log.warning("policy.style_not_measured", style=base.style.name)
    return replace(
        policy, name=f"{policy.name}, not measured on {base.style.name}", strata=(Stratum(1, False),)
    )


def require_fitting_policy(settings: Settings, policy: Policy, base: Base, adapter: Adapter) -> None:
    """Refuse a policy from LETHE_POLICY_FILE with a rung that cannot edit this adapter.

    The default policy is not checked: its rungs that cannot edit the adapter are skipped, and each run records that.

    Raises:
        SettingError: a rung of the policy in LETHE_POLICY_FILE cannot edit this adapter.
    """
    for number, rung in enumerate(policy.ladder, start=1):
        unfit = why_not(build_method(rung.method, rung.config), base, adapter)
        if unfit is None:
            continue
        if settings.policy_file is not None:
            raise SettingError(
                f"LETHE_POLICY_FILE: rung {number} of the ladder, {rung.method}, cannot edit the adapter: {unfit}; "
                "take the rung out of the policy, or fit an adapter that it can edit"
            )
        log.warning("policy.rung_is_of_no_use", rung=number, method=rung.method, why=unfit)


def require_policy_fits_live_version(
    settings: Settings, database: Database, store: Store, policy: Policy, base: Base
) -> None:
    """
    Raises:
        SettingError: as `require_fitting_policy`. Not raised if no version is live or it cannot be read: a run reports
            that.
    """
    with database.read() as session:
        live = pointer.current(session).digest
    if live is None:
        return
    try:
        adapter = load_version(store, live).adapter
    except (StoreError, RecommenderError) as error:
        log.warning("policy.not_compared", error=type(error).__name__)
        return
    require_fitting_policy(settings, policy, base, adapter)
