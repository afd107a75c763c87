"""The items a model can recommend, and their numbering."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from inputs import InvalidInput, canonical_json, identifier, title
from recommender.errors import DataError

CATALOGUE_FILE = "catalogue.json"
_SCHEMA = 1


@dataclass(frozen=True)
class Catalogue:
    """Items in a fixed order: index `i` in `[0, len)` stands for `item_ids[i]`, shown as `titles[i]`.

    Ids and titles keep the spelling in which they are given, and the digest covers that spelling. `inputs.identifier`
    decides which spellings are the same id.

    Raises:
        DataError: the two tuples differ in length, an item id occurs twice (also in another spelling), or an id or
            title is not valid by the rules of `inputs`.
    """

    item_ids: tuple[str, ...]
    titles: tuple[str, ...]
    _index_by_spelling: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.item_ids) != len(self.titles):
            raise DataError(f"catalogue has {len(self.item_ids)} item ids but {len(self.titles)} titles")
        for index, called in enumerate(self.titles):
            try:
                title(called)
            except InvalidInput as error:
                raise DataError(f"the title of item {index} of the catalogue {error}") from error
        object.__setattr__(self, "_index_by_spelling", _index_by_spelling(self.item_ids))

    def __len__(self) -> int:
        return len(self.item_ids)

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of the canonical JSON: sorted keys, no spaces, UTF-8."""
        return hashlib.sha256(canonical_json(self._content())).hexdigest()

    def index(self, item_id: str) -> int | None:
        """Index of an external item id in any of its spellings; None if the catalogue does not hold it."""
        found = self._index_by_spelling.get(item_id)
        if found is not None:
            return found
        try:
            return self._index_by_spelling.get(identifier(item_id))
        except InvalidInput:
            return None

    def first(self, count: int) -> "Catalogue":
        """The catalogue as it was when it had only its first `count` items.

        Raises:
            DataError: it has fewer.
        """
        if not 0 <= count <= len(self):
            raise DataError(f"the catalogue has {len(self)} items, not {count}")
        return self if count == len(self) else Catalogue(self.item_ids[:count], self.titles[:count])

    def save(self, path: Path) -> None:
        """Write `path` as JSON (by convention `catalogue.json` beside the model weights)."""
        path.write_text(json.dumps(self._content(), ensure_ascii=False, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Catalogue":
        """Read the output of `save`.

        Raises:
            DataError: the file is missing, is not JSON, or is not a valid catalogue.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(f"cannot read the catalogue {path}: {error}") from error
        return cls._from_content(content, path)

    def _content(self) -> dict[str, Any]:
        return {"schema": _SCHEMA, "item_ids": list(self.item_ids), "titles": list(self.titles)}

    @classmethod
    def _from_content(cls, content: Any, path: Path) -> "Catalogue":
        if not isinstance(content, dict) or content.get("schema") != _SCHEMA:
            raise DataError(f"{path} is not a catalogue of schema {_SCHEMA}")
        columns = [content.get("item_ids"), content.get("titles")]
        for name, column in zip(("item_ids", "titles"), columns, strict=True):
            if not isinstance(column, list) or not all(isinstance(value, str) for value in column):
                raise DataError(f"{path}: {name} must be a list of strings")
        try:
            return cls(item_ids=tuple(content["item_ids"]), titles=tuple(content["titles"]))
        except DataError as error:
            raise DataError(f"{path} cannot be used: {error}") from error


def _index_by_spelling(item_ids: Sequence[str]) -> dict[str, int]:
    """Indices by the listed id and, if that differs, also by its canonical spelling."""
    found: dict[str, int] = {}
    for index, item_id in enumerate(item_ids):
        try:
            spelling = identifier(item_id)
        except InvalidInput as error:
            raise DataError(f"the id of item {index} of the catalogue {error}") from error
        first = found.setdefault(spelling, index)
        if first != index:
            also = "" if item_ids[first] == item_id else f", also as {item_ids[first]!r}"
            raise DataError(f"catalogue lists item id {item_id!r} more than once{also}")
        found[item_id] = index
    return found
