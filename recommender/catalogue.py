"""The items a model can recommend, and the one place that numbers them."""

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from recommender.errors import DataError

CATALOGUE_FILE = "catalogue.json"
_SCHEMA = 1


@dataclass(frozen=True)
class Catalogue:
    """Items in a fixed order: index `i` in `[0, len)` stands for `item_ids[i]`, shown as `titles[i]`.

    Raises:
        DataError: the two tuples differ in length, or an item id occurs twice.
    """

    item_ids: tuple[str, ...]
    titles: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.item_ids) != len(self.titles):
            raise DataError(f"catalogue has {len(self.item_ids)} item ids but {len(self.titles)} titles")
        if len(self._index_by_id) != len(self.item_ids):
            duplicate, _ = Counter(self.item_ids).most_common(1)[0]
            raise DataError(f"catalogue lists item id {duplicate!r} more than once")

    def __len__(self) -> int:
        return len(self.item_ids)

    @cached_property
    def _index_by_id(self) -> dict[str, int]:
        return {item_id: index for index, item_id in enumerate(self.item_ids)}

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of the canonical JSON: sorted keys, no spaces, UTF-8."""
        canonical = json.dumps(self._content(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def index(self, item_id: str) -> int | None:
        """Index of an external item id, or None when the catalogue does not hold it."""
        return self._index_by_id.get(item_id)

    def save(self, path: Path) -> None:
        """Write `path` as JSON (by convention `catalogue.json` beside the model weights)."""
        path.write_text(json.dumps(self._content(), ensure_ascii=False, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Catalogue":
        """Read what `save` wrote.

        Raises:
            DataError: the file is missing, not JSON, or not a catalogue.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
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
        return cls(item_ids=tuple(content["item_ids"]), titles=tuple(content["titles"]))
