"""The situations in which methods are tried."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["interactions", "users", "single", "sequence"]


@dataclass(frozen=True)
class Scenario:
    """One situation.

    Attributes:
        name: the name on the command line and in the tables.
        kind: `users` forgets whole users at once, `interactions` single events of many users, `single` one user at a
            time (each from the same parent), `sequence` one user after the other (each from the previous result).
        share: of the service's users, or of the report users' interactions.
        users: the number of users, if it is fixed.
        setting: which of a method's two tuned configurations applies.
        note: the source of the scenario.
    """

    name: str
    kind: Kind
    note: str
    share: float = 0.0
    users: int = 0

    @property
    def setting(self) -> Literal["batch", "single"]:
        """The tuned configuration that applies: requests of one user need another strength than batches."""
        return "single" if self.kind in ("single", "sequence") else "batch"


SINGLE_USERS, SEQUENCE_USERS = 12, 20

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("users-5", "users", "5 % of the users", share=0.05),
        Scenario("users-1", "users", "1 % of the users", share=0.01),
        Scenario("users-20", "users", "20 % of the users, as E2URec deletes", share=0.20),
        Scenario(
            "interactions-25",
            "interactions",
            "25 % of the report users' interactions, as U-CAN deletes",
            share=0.25,
        ),
        Scenario("single", "single", "one user at a time, six light and six heavy", users=SINGLE_USERS),
        Scenario(
            "sequence", "sequence", "one request after the other, as ERASE deletes", users=SEQUENCE_USERS
        ),
    )
}


def user_share(share: float) -> Scenario:
    """Forget this share of the users at once."""
    name = f"users-{100 * share:g}"
    return SCENARIOS.get(name, Scenario(name, "users", f"{share:.1%} of the users", share=share))
