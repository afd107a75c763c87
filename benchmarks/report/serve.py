"""The tables of `lethe bench serve`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.report.cells import MISSING, number, percent, section, table

_KILO, _MEGA = 1e3, 1e6
_STORES = {"moto": "a bucket of moto's server", "s3": "a bucket of S3-compatible storage"}
_VERDICTS = {True: "flat", False: "**grows**", None: "too few swaps to say"}


def serve(result: Mapping[str, Any]) -> list[str]:
    """Throughput and latency of gateway and peers, swaps under load, and memory, for each size of model."""
    pinned = result["pinned"]
    same = "the same processor" if pinned["server"] == pinned["client"] else "another processor"
    head = (
        f"Server on one processor, client on {same}, {number(result['seconds'], 0)} seconds of each load. *Raw* is the "
        "ranker in a loop of full batches, without a server. *Full* is a closed loop of 32 connections, *idle* one "
        "connection, *loaded* an open loop (Poisson arrivals) at 70 % of the server's own full rate; seconds count "
        "from when a request was due. Peers get the history in the body and know no keys, "
        "users, suppressions or versions."
    )
    database, store = result.get("database", "sqlite"), result.get("store", "local")
    if (database, store) != ("sqlite", "local"):
        where = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[database]
        head += f" The database is {where}, the store {_STORES.get(store, 'a folder')}."
    return [head, "", *(line for row in result["sizes"] for line in _size(row))]


def _size(row: Mapping[str, Any]) -> list[str]:
    raw, best = row["raw"], row["raw"]["best"]
    batches, limit = raw["batches"], raw["per_second"]
    one, full = _taken(batches, 1), _taken(batches, best)
    servers = [
        ("Lethe, nothing from memory", row["gateway"]),
        *((peer["peer"], peer) for peer in row.get("peers", ()) if "per_second" in peer),
        *([("Lethe, answers kept in memory", row["cached"])] if "cached" in row else []),
    ]
    left_out = [f"{peer['peer']}: {peer['left_out']}" for peer in row.get("peers", ()) if "left_out" in peer]
    halved = raw["bfloat16"]
    return [
        *section(
            f"{row['size']}: {row['parameters'] / _MEGA:.1f} million parameters, {row['events']} events of history",
            table(
                (
                    "server", "requests a second", "to raw", "processor, ms a request", "idle p50, ms",
                    "to one forward, ms", "loaded p50, ms", "loaded p99, ms", "to two batches, ms", "not 200",
                ),
                [
                    ["raw", number(limit, 1), "1.00", number(1e3 / limit, 2), number(1e3 * one, 1), *[MISSING] * 5],
                    *([name, *_cells(found, limit, one, full)] for name, found in servers),
                ],
            ),
            f"One forward takes {number(1e3 * one, 1)} ms alone, and {number(1e3 * full, 1)} ms in the best batch, of "
            f"{best}. In bfloat16 the raw forward does {number(halved['per_second'], 1)} a second; "
            f"{percent(halved['same_ranking'])} of rankings are the same, and {percent(halved['same_items'])} of "
            "items.",
            *([f"Left out: {'; '.join(left_out)}."] if left_out else []),
        ),
        *section("Swaps under load", _swaps(row), *_memory(row)),
        *(section("asyncio and uvloop", _loops(row["loops"]), _ABOUT_LOOPS) if "loops" in row else []),
    ]  # fmt: skip


def _taken(batches: Mapping[Any, float], size: int) -> float:
    # JSON has made texts of the sizes.
    return batches[size] if size in batches else batches[str(size)]


def _cells(found: Mapping[str, Any], limit: float, one: float, full: float) -> list[str]:
    idle, loaded = found["idle"], found["loaded"]
    return [
        number(found["per_second"], 1),
        number(found["per_second"] / limit, 2),
        number(found["processor_ms"], 2),
        number(1e3 * idle["p50"], 1),
        number(1e3 * (idle["p50"] - one), 1),
        number(1e3 * loaded["p50"], 1),
        number(1e3 * loaded["p99"], 1),
        number(1e3 * (loaded["p99"] - 2 * full), 1),
        str(found["not_200"]),
    ]


def _swaps(row: Mapping[str, Any]) -> list[str]:
    kinds = [
        ("one gateway, nothing from memory", row["swaps"]),
        ("one gateway, answers kept in memory", row["swaps_with_cache"]),
        ("three gateways", row["replicas"]),
    ]
    without = row["gateway"]["loaded"]["p99"]
    return table(
        (
            "", "swaps", "answers", "failed", "fallbacks", "torn", "mislabelled", "old from a cache",
            "p99, ms", "p99 without swaps, ms", "commit to last old answer, p50, ms", "longest, ms",
        ),
        [
            [
                name,
                *(str(found[key]) for key in (
                    "swaps", "answers", "failed", "fallbacks", "torn", "mislabelled", "old_from_cache",
                )),
                number(1e3 * found["latency"]["p99"], 1),
                number(1e3 * without, 1) if found is row["swaps"] else MISSING,
                number(1e3 * found["last_old_seconds"]["p50"], 0),
                number(1e3 * found["last_old_seconds"]["max"], 0),
            ]
            for name, found in kinds
        ],
    )  # fmt: skip


def _memory(row: Mapping[str, Any]) -> list[str]:
    swapped = row["swaps"]["memory"]
    text = (
        f"Resident memory of the gateway: {swapped['first_tenth'] / _MEGA:.0f} MB in the first tenth of the swaps, "
        f"{swapped['last_tenth'] / _MEGA:.0f} MB in the last."
    )
    if "two_processes" in row:
        two = row["two_processes"]
        resident = sum(one["resident"] for one in two) / _MEGA
        proportional = sum(one["proportional"] for one in two) / _MEGA
        text += (
            f" Two gateways on one machine hold {resident:.0f} MB as each sees it, and {proportional:.0f} MB together, "
            "what they share counted once."
        )
    return [text, *(_flatness(row) if "flat" in swapped else [])]


def _flatness(row: Mapping[str, Any]) -> list[str]:
    kinds = [
        ("one gateway, nothing from memory", row["swaps"]),
        ("one gateway, answers kept in memory", row["swaps_with_cache"]),
        ("three gateways", row["replicas"]),
    ]
    rows = []
    for name, found in kinds:
        for gateway in (found["memory"], *found["memory"]["others"]):
            versions = gateway["versions"]
            rows.append(
                [
                    name,
                    str(found["swaps"]),
                    f"{gateway['first_tenth'] / _MEGA:.1f}",
                    f"{gateway['last_tenth'] / _MEGA:.1f}",
                    f"{gateway['slope'] / _KILO:.2f}",
                    percent(gateway["growth"]),
                    str(versions["most"]),
                    str(versions["at_rest"]),
                    _VERDICTS[gateway["flat"]],
                ]
            )
    size = row["swaps"]["memory"]["versions"]["bytes"] / _MEGA
    head = (
        "memory of",
        "swaps",
        "first tenth, MB",
        "last tenth, MB",
        "slope, kB a swap",
        "growth",
        "versions in memory, at most",
        "after the swaps",
        "verdict",
    )
    about = (
        "Slope and growth are of a line by least squares through the resident memory after each swap, without the "
        "first tenth. *Flat* is a growth of at most 1 % with one version left. A version has "
        f"{size:.2f} MB of its own: where one kept at every second swap would not come to 1 %, there are too few swaps "
        "to say."
    )
    return ["\n".join(table(head, rows)), about]


def _loops(found: Mapping[str, Any]) -> list[str]:
    kinds = (("nothing from memory", found["nothing_kept"]), ("answers kept in memory", found["kept"]))
    rows = []
    for name, one in kinds:
        for key, title in _RATIOS.items():
            ratio = one["ratios"][key]
            rows.append([name, title, *(number(ratio[which], 2) for which in ("median", "least", "most"))])
    return table(("Lethe", "uvloop to asyncio", "median of pairs", "least", "most"), rows)


_RATIOS = {
    "per_second": "requests a second",
    "processor_ms": "processor a request",
    "p50": "loaded p50",
    "p99": "loaded p99",
}
_ABOUT_LOOPS = (
    "Two gateways of one service run all the time on the same processor and are asked in turns. *Loaded* is an open "
    "loop at 70 % of the throughput of the slower one, the same rate for both."
)
