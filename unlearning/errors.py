"""Everything `unlearning` raises on purpose.

UnlearningError
├── UnknownMethod          a method name outside the registry
├── InvalidMethodConfig    a method's field is unknown, missing or out of range
├── InvalidTask            a forget task that no method can serve (no subject, no retained user, ...)
├── InvalidStatistics      cached activation sums that are damaged
├── Diverged               a loss, gradient or step of a method is not finite
├── StatisticsMismatch     cached activation sums of another adapter, site or population
├── InvalidEvaluation      evaluation inputs that no figure can be computed from
├── InvalidReport          a stored report that does not fit the schema
└── InvalidPolicy          a policy whose thresholds or ladder make no sense
"""


class UnlearningError(Exception):
    """Root of the package's errors; the message says what to do."""


class UnknownMethod(UnlearningError):
    """The name is not in the registry; the message lists the names that are."""


class InvalidMethodConfig(UnlearningError):
    """A configuration field is unknown or holds a value outside its choices or range."""


class InvalidTask(UnlearningError):
    """The forget task has no subject, no retained user, or a sequence that is empty."""


class InvalidStatistics(UnlearningError):
    """Stored activation statistics are truncated, of another schema, or hold impossible values."""


class Diverged(UnlearningError):
    """A loss or a step was not finite: the learning rate or the number of steps is too large for this adapter."""


class StatisticsMismatch(UnlearningError):
    """Activation statistics belong to another adapter version, another token scope or other users."""


class InvalidEvaluation(UnlearningError):
    """The evaluation inputs are empty or refer to users that are not there."""


class InvalidReport(UnlearningError):
    """A stored report does not match the report schema."""


class InvalidPolicy(UnlearningError):
    """A policy field is unknown, missing or out of range; the message names it."""
