"""The table of `lethe bench levels`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.report.cells import number, percent, spread, table

_LEGEND = (
    "*Re-fits*: the steps of all fits of the scheme beside those of the service's own; each scheme also reads "
    "everybody twice under each fit and under the service's own. *Error*: how far levels lie "
    "above the mean of adapters that never saw the user, nats an item: mean of a service's users ± standard deviation "
    "over services, and the deviation among its users. *Deviation*: what the level says of itself. *Told*: users "
    "outside the band under the adapter that knows them. *Outside although never seen*: readings under adapters of "
    "other services, which the gate would fail although they are the truth."
)


def levels(result: Mapping[str, Any]) -> list[str]:
    """One line per scheme, over all services."""
    data = result["data"]
    sizes = data["users_of_a_world"]
    head = (
        f"Data: {data['source']}, {data['worlds']} services ({data['users']}) of {min(sizes)} to {max(sizes)} users; "
        f"band |z| <= {result['membership_z']:g}."
    )
    return [
        head,
        "",
        *table(
            (
                "scheme",
                "fits",
                "users fitted, of the service's",
                "re-fits",
                "error",
                "among users",
                "deviation",
                "told",
                "outside although never seen",
            ),
            [
                [
                    entry["scheme"],
                    str(entry["fits"]),
                    number(entry["users_fitted"], 2),
                    number(entry["refits"], 2),
                    spread(entry["error_by_service"], 3),
                    number(entry["error_deviation"], 2),
                    number(entry["deviation"], 2),
                    percent(entry["told"]),
                    percent(entry["outside"]),
                ]
                for entry in result["schemes"]
            ],
        ),
        "",
        _LEGEND,
    ]
