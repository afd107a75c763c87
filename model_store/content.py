"""Content to store: bytes, or a file that is read piece by piece and never held in memory whole."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from model_store.filesystem_errors import translated

Content = bytes | Path
PIECE_BYTES = 2**20


@contextmanager
def opened(content: Content) -> Iterator[BinaryIO]:
    """Open the content at its beginning. Raises StoreUnavailable if the file cannot be read."""
    if isinstance(content, bytes):
        yield io.BytesIO(content)
        return
    with translated("read", content), content.open("rb") as file:
        yield file


def pieces(content: Content) -> Iterator[bytes]:
    """The content in pieces of at most :data:`PIECE_BYTES`."""
    with opened(content) as file:
        while piece := file.read(PIECE_BYTES):
            yield piece


def size_of(file: BinaryIO) -> int:
    """Size of ``file`` in bytes. Leaves the position at the beginning."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    return size
