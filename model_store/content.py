"""What is to be stored: bytes, or a file that is read piece by piece and never held whole."""

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
    """The content from its beginning. Raises StoreUnavailable where the file cannot be read."""
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
    """How many bytes it has; it stands at its beginning afterwards."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    return size
