"""Checkpoints of the Merkle tree as signed notes, the text format of transparency logs.

Sources: C2SP signed-note and tlog-checkpoint. A checkpoint is three lines (the log's name, its size, its root in
Base64), an empty line, and one line for each signature. Tools for such logs read it, and witnesses can add a signature.

Pure module: it formats and reads. `app.signing` signs and verifies.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

_ED25519 = b"\x01"
_DASH = "\N{EM DASH}"
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


class NoteMalformed(ValueError):
    """The text is no checkpoint in the form that the format asks for."""


@dataclass(frozen=True)
class NoteSignature:
    """One line of a note: who signed, four bytes that tell their key, and the signature."""

    name: str
    key_hash: bytes
    signature: bytes

    def line(self) -> str:
        return f"{_DASH} {self.name} {base64.b64encode(self.key_hash + self.signature).decode()}\n"


@dataclass(frozen=True)
class TreeHead:
    """The log's name, its number of entries and the root over them. ``text`` is what is signed."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


def key_hash(name: str, public_key: bytes) -> bytes:
    """The four bytes by which a note names an Ed25519 key."""
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public_key).digest()[:4]


def note_of(head: TreeHead, *signatures: NoteSignature) -> str:
    return head.text + "\n" + "".join(signature.line() for signature in signatures)


def read_note(note: str) -> tuple[TreeHead, list[NoteSignature]]:
    """Read a checkpoint. Its signatures are not verified here.

    Raises:
        NoteMalformed: it has another form. There is one way to write a checkpoint, so no byte of it can differ.
    """
    text, separator, lines = note.partition("\n\n")
    fields = text.split("\n")
    if not separator or len(fields) != 3 or not fields[0] or not _SIZE.fullmatch(fields[1]):
        raise NoteMalformed("it does not consist of a name, a size and a root, and of signatures")
    head = TreeHead(fields[0], int(fields[1]), _decoded(fields[2]))
    if len(head.root) != 32 or not lines.endswith("\n"):
        raise NoteMalformed("its root is no SHA-256, or it ends inside of a line")
    return head, [_signature(line) for line in lines[:-1].split("\n")]


def _signature(line: str) -> NoteSignature:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != _DASH or not parts[1]:
        raise NoteMalformed("a line of it is no signature")
    decoded = _decoded(parts[2])
    return NoteSignature(parts[1], decoded[:4], decoded[4:])


def _decoded(text: str) -> bytes:
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteMalformed("a value of it is no Base64") from error
    # Several texts decode to the same bytes. Only one is accepted.
    if base64.b64encode(found).decode() != text:
        raise NoteMalformed("a value of it is no canonical Base64")
    return found
