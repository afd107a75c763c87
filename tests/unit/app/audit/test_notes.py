"""Checkpoints in the format of transparency logs: one way to write each, and nothing else is read."""

from __future__ import annotations

import base64

import pytest

from app.audit.notes import NoteMalformed, NoteSignature, TreeHead, key_hash, note_of, read_note

HEAD = TreeHead("example.org/log", 7, b"r" * 32)
ROOT = base64.b64encode(HEAD.root).decode()
OURS = NoteSignature("example.org/log", b"abcd", b"s" * 64)
LINE = OURS.line()


def test_a_note_is_read_as_it_was_written() -> None:
    witness = NoteSignature("witness.example", b"wxyz", b"t" * 72)
    note = note_of(HEAD, OURS, witness)
    assert note.startswith(f"example.org/log\n7\n{ROOT}\n\n\N{EM DASH} example.org/log ")
    assert read_note(note) == (HEAD, [OURS, witness])


def test_the_hash_of_a_key_is_that_of_the_format() -> None:
    """The example in the description of Go's notes: the key of sum.golang.org."""
    name, hash_, key = ["sum.golang.org", "033de0ae", "Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"]
    decoded = base64.b64decode(key)
    assert decoded[:1] == b"\x01"
    assert key_hash(name, decoded[1:]).hex() == hash_


@pytest.mark.parametrize(
    "note",
    [
        "",
        f"example.org/log\n7\n{ROOT}\n",
        f"example.org/log\n07\n{ROOT}\n\n{LINE}",
        f"example.org/log\n-1\n{ROOT}\n\n{LINE}",
        f"example.org/log\n7\n{ROOT[:-2]}==\n\n{LINE}",
        f"example.org/log\n7\n{ROOT[:-2]}\n\n{LINE}",
        f"example.org/log\n7\n{ROOT}\nmore\n\n{LINE}",
        f"example.org/log\n7\n{ROOT}\n\n{LINE[:-1]}",
        f"example.org/log\n7\n{ROOT}\n\n{LINE}\n",
        f"example.org/log\n7\n{ROOT}\n\n- example.org/log YWJj\n",
        f"example.org/log\n7\n{ROOT}\n\n",
    ],
)
def test_anything_else_is_no_checkpoint(note: str) -> None:
    with pytest.raises(NoteMalformed):
        read_note(note)
