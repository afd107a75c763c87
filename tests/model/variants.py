"""The sizes in which the model is searched, and the models that lack one safeguard."""

from __future__ import annotations

from dataclasses import dataclass

from tests.model.state import Size
from tests.model.steps import Rules

# Answers of the feed are late in one size and processes fail in the others: together they make millions of states.
SIZES = {
    "late answers, no faults": Size(subjects=1, workers=1),
    "one is verified late": Size(subjects=1, workers=1, accepts=1, received=1),
    "two people, one fault": Size(faults=1, late=False),
    "one replica, two faults": Size(replicas=1, cancels=0, faults=2, late=False),
}
MORE_SIZES = {
    "late answers, one fault": Size(subjects=1, workers=1, faults=1),
    "one replica, two faults, one cancels": Size(replicas=1, faults=2, late=False),
    "one replica, three requests": Size(replicas=1, accepts=3, faults=1, late=False),
}
_LATE, _VERIFIED, _PEOPLE, _FAULT = (
    SIZES["late answers, no faults"],
    SIZES["one is verified late"],
    Size(late=False),
    Size(subjects=1, faults=1, late=False),
)


@dataclass(frozen=True)
class Variant:
    """A model without one safeguard, and the invariant whose promise it must break."""

    without: str
    rules: Rules
    size: Size
    breaks: str


VARIANTS = (
    Variant("the look for an open request", Rules(one_live_request=False), _PEOPLE, "I1"),
    Variant("the end of cancelling at the claim", Rules(cancel_only_before_claim=False), _PEOPLE, "I2"),
    Variant("an epoch of the lift's own", Rules(lift_has_its_own_epoch=False), _LATE, "I2"),
    Variant("the order of lift and suppression", Rules(lift_ends_older_only=False), _LATE, "I2"),
    Variant("the check of the fence", Rules(fence_checked=False), _FAULT, "I5"),
    Variant("the raised floor", Rules(floor_raised=False), _PEOPLE, "I3"),
    Variant("the wait for acknowledgements", Rules(acknowledgement_awaited=False), _PEOPLE, "I2"),
    Variant("the destruction of older versions", Rules(older_versions_destroyed=False), _PEOPLE, "I13"),
    Variant(
        "an epoch of the verification's own", Rules(verified_at_an_epoch_of_its_own=False), _VERIFIED, "I2"
    ),
    Variant("the look at a verification", Rules(verified_if_no_other_is_in_force=False), _VERIFIED, "I1"),
    Variant("the sweeper", Rules(sweeper_sends_again=False), _FAULT, "I1"),
)
