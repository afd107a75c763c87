"""The time and memory that it takes to read a file of interactions: `lethe bench load`.

The figures are compared with those of the columnar library alone, which reads the same file batch by batch and discards
it. Storing the interactions in PostgreSQL is compared with COPY alone. Each of them is a process of its own, with the
settings of `lethe init`. Its peak memory is that of the whole process, interpreter and libraries included.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from benchmarks.bars import Reached, bars
from benchmarks.environment import environment
from benchmarks.study.memory import peak_resident
from recommender import load_interactions, use_processor

ROWS = 1_000_000
# As in MovieLens-20M.
EVENTS_OF_A_USER, EVENTS_OF_AN_ITEM = 144, 740
_FIRST, _ROWS_A_SECOND, _SEED = 1_700_000_000, 2, 0
_AT_A_TIME = 500_000
_NO_WAYS: Mapping[str, Callable[[Path], int]] = {}


def run(
    rows: int = ROWS, *, folder: Path, ways: Mapping[str, Callable[[Path], int]] = _NO_WAYS
) -> dict[str, Any]:
    """Write files of `rows` rows into a folder and read each of them; returns JSON values.

    Args:
        folder: an existing, empty folder. The files take some 50 bytes per row.
        ways: how to store the Parquet file, by name (`load_into_database.ways`); each returns how many rows it has
            stored.
    """
    header = environment()
    readers = {"csv": ("interactions.csv", _csv_alone), "parquet": ("interactions.parquet", _parquet_alone)}
    found = []
    with bars() as bar:
        move = bar("readings")
        _write(folder, rows)
        for done, (name, (file, alone)) in enumerate(readers.items()):
            path = folder / file
            own, library = _in_a_process(_load, path), _in_a_process(alone, path)
            found.append(
                {
                    "format": name,
                    "bytes": path.stat().st_size,
                    "events": own["events"],
                    "seconds": own["seconds"],
                    "processor_seconds": own["processor_seconds"],
                    "peak_bytes": own["peak_bytes"],
                    "library_seconds": library["seconds"],
                    "library_processor_seconds": library["processor_seconds"],
                    "library_peak_bytes": library["peak_bytes"],
                    # A ratio of processor times, so that other work on the machine does not count.
                    "ratio": own["processor_seconds"] / library["processor_seconds"],
                }
            )
            move(Reached(done + 1, len(readers)))
        parquet = folder / "interactions.parquet"
        stored = {name: _in_a_process(store, parquet) for name, store in ways.items()}
    return {
        "benchmark": "load",
        "environment": {
            **header,
            "library_versions": {
                **header["library_versions"],
                "numpy": np.__version__,
                "pyarrow": pa.__version__,
            },
        },
        "data": {"rows": rows, "users": _users(rows), "items": _items(rows)},
        "rows": found,
        "stored": stored,
    }


def _users(rows: int) -> int:
    return max(rows // EVENTS_OF_A_USER, 1)


def _items(rows: int) -> int:
    return max(rows // EVENTS_OF_AN_ITEM, 1)


def _write(folder: Path, rows: int) -> None:
    schema = pa.schema(
        [("user_id", pa.string()), ("item_id", pa.string()), ("timestamp", pa.int64()), ("rating", pa.int8())]
    )
    with (
        pa.csv.CSVWriter(
            folder / "interactions.csv", schema, write_options=pa.csv.WriteOptions(quoting_style="none")
        ) as text,
        pq.ParquetWriter(folder / "interactions.parquet", schema) as columns,
    ):
        for batch in _batches(rows, schema):
            text.write_batch(batch)
            columns.write_batch(batch)


def _batches(rows: int, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Rows as a service logs them: in the order of time, with random users, and popular items more often."""
    draw = np.random.default_rng(_SEED)
    for start in range(0, rows, _AT_A_TIME):
        count = min(_AT_A_TIME, rows - start)
        users = draw.integers(_users(rows), size=count)
        items = (_items(rows) * draw.random(count) ** 2).astype(np.int64)
        times = _FIRST + np.arange(start, start + count) // _ROWS_A_SECOND
        ratings = draw.integers(1, 6, size=count).astype(np.int8)
        yield pa.record_batch(
            [_named("u", users), _named("i", items), pa.array(times), pa.array(ratings)], schema=schema
        )


def _named(letter: str, numbers: np.ndarray) -> pa.Array:
    return pa.array(np.char.add(letter, numbers.astype(np.str_)))


def _in_a_process(read: Callable[[Path], int], path: Path) -> dict[str, float]:
    # Spawned, because a fork would start with the parent's memory.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measured, (read, path))


def _measured(read: Callable[[Path], int], path: Path) -> dict[str, float]:
    use_processor(1)
    watch, processor = time.perf_counter(), time.process_time()
    events = read(path)
    return {
        "seconds": time.perf_counter() - watch,
        "processor_seconds": time.process_time() - processor,
        "events": events,
        "peak_bytes": peak_resident(),
    }


def _load(path: Path) -> int:
    return load_interactions(path).events


def _csv_alone(path: Path) -> int:
    with pa.csv.open_csv(path, read_options=pa.csv.ReadOptions(use_threads=False)) as reader:
        return sum(batch.num_rows for batch in reader)


def _parquet_alone(path: Path) -> int:
    with pq.ParquetFile(path) as file:
        return sum(batch.num_rows for batch in file.iter_batches(use_threads=False))
