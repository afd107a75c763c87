"""Stores the interactions of a file in PostgreSQL for `lethe bench load`: as `lethe init` does, and with COPY alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from transformers.utils import logging as transformers_logging

from app.db.schema import migrate
from app.db.session import Database, open_database
from app.subjects import SubjectKey
from benchmarks.service.own_database import LOCAL_SERVER, own_database
from recommender import BaseConfig, StepReport, draw_base, load_base, load_interactions, save_base
from worker.first_fit import importing

# Of a subject, in characters.
_DIGEST = 64
_KEY = SubjectKey(b"a key of the benchmark's own: no secret")
# Its weights are never used.
_SHAPE = BaseConfig(layers=1, width=8, heads=1, feed_forward=8, window=8)


@contextmanager
def ways(server: str) -> Iterator[dict[str, Callable[[Path], int]]]:
    """Two ways to store a Parquet file, each in a database of its own; each returns how many rows it has stored.

    Args:
        server: ``postgresql`` (the server on this machine), or the URL of a PostgreSQL server.

    Raises:
        ServiceUnmeasurable: no database can be created.
    """
    address = LOCAL_SERVER if server == "postgresql" else server
    with own_database(address) as ours, own_database(address) as bare:
        for url in (ours, bare):
            engine = open_database(url)
            migrate(engine)
            engine.dispose()
        yield {"lethe": partial(_as_init_does, ours), "copy_alone": partial(_copied, bare)}


class _Silent:
    def say(self, text: str) -> None:
        pass

    @contextmanager
    def steps(self, what: str) -> Iterator[Callable[[StepReport], None]]:
        yield lambda _: None

    @contextmanager
    def parts(self, what: str) -> Iterator[Callable[[str], None]]:
        yield lambda _: None


def _as_init_does(url: str, path: Path) -> int:
    transformers_logging.disable_progress_bar()
    data = load_interactions(path)
    with TemporaryDirectory() as folder:
        model = draw_base(data.catalogue, _SHAPE, seed=0)
        save_base(model, data.catalogue, _SHAPE.style(data.catalogue), Path(folder))
        base = load_base(Path(folder))
    engine = open_database(url)
    importing.store(Database(engine), _KEY, data, base, _Silent())
    engine.dispose()
    return data.events


def _copied(url: str, path: Path) -> int:
    """The same columns into the same table and indices, without a look at any value.

    COPY ends at the first duplicate, so rows are numbered in place of their times.
    """
    first = 0
    names = ("subject_hmac", "item_id", "timestamp", "rating")
    with (
        pq.ParquetFile(path) as file,
        closing(psycopg.connect(url)) as connection,
        connection.cursor() as cursor,
    ):
        with cursor.copy(f"COPY interactions ({', '.join(names)}) FROM STDIN (FORMAT csv)") as copy:
            for batch in file.iter_batches(use_threads=False):
                columns = [pc.utf8_lpad(batch["user_id"], _DIGEST, "0")]
                numbers = pa.array(range(first, first + batch.num_rows), pa.int64())
                columns += [batch["item_id"], numbers, batch["rating"]]
                first += batch.num_rows
                text = pa.BufferOutputStream()
                pa.csv.write_csv(
                    pa.record_batch(columns, names=names), text, pa.csv.WriteOptions(include_header=False)
                )
                copy.write(text.getvalue().to_pybytes())
        connection.commit()
        return file.metadata.num_rows
