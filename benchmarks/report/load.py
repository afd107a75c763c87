"""The table of `lethe bench load`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.report.cells import number, table

_MEGA = 1e6


def load(result: Mapping[str, Any]) -> list[str]:
    """Seconds and peak memory by format, compared with those of the columnar library alone, and of storing."""
    data = result["data"]
    head = (
        f"{data['rows']} generated rows of {data['users']} users and {data['items']} items, with ratings, in the order "
        "of time. *Library alone*: pyarrow reads the file with one thread and throws it away. A peak is resident "
        "memory of a process whole, interpreter and libraries included. A user's repeated interactions count once. "
        "Beside other work, only the processor's seconds say what reading costs."
    )
    return [
        head,
        "",
        *table(
            (
                "format",
                "file, MB",
                "interactions",
                "seconds",
                "of the processor",
                "rows a second of the processor",
                "peak, MB",
                "library alone, of the processor",
                "library alone, peak, MB",
                "to the library alone",
            ),
            [
                [
                    row["format"],
                    number(row["bytes"] / _MEGA, 0),
                    str(row["events"]),
                    number(row["seconds"], 1),
                    number(row["processor_seconds"], 1),
                    number(data["rows"] / row["processor_seconds"], 0),
                    number(row["peak_bytes"] / _MEGA, 0),
                    number(row["library_processor_seconds"], 1),
                    number(row["library_peak_bytes"] / _MEGA, 0),
                    number(row["ratio"], 1),
                ]
                for row in result["rows"]
            ],
        ),
        *_stored(result),
    ]


def _stored(result: Mapping[str, Any]) -> list[str]:
    if not result.get("stored"):
        return []
    ours, alone = result["stored"]["lethe"], result["stored"]["copy_alone"]
    head = (
        "From the Parquet file into PostgreSQL on the same machine, once: all of what `lethe init` does with the "
        "interactions, in transactions of 500, so that nobody who asks to be forgotten meanwhile waits; and *COPY "
        "alone*, the library's batches into the same table and indices in one transaction, where nobody looks at a "
        "value. The server's processor is not counted."
    )
    return [
        "",
        head,
        "",
        *table(
            (
                "",
                "rows",
                "seconds",
                "rows a second",
                "of the processor, s",
                "peak, MB",
                "seconds a row, to COPY alone",
            ),
            [
                [
                    name,
                    str(int(one["events"])),
                    number(one["seconds"], 1),
                    number(one["events"] / one["seconds"], 0),
                    number(one["processor_seconds"], 1),
                    number(one["peak_bytes"] / _MEGA, 0),
                    number(one["seconds"] / one["events"] * alone["events"] / alone["seconds"], 1),
                ]
                for name, one in (("Lethe", ours), ("COPY alone", alone))
            ],
        ),
    ]
