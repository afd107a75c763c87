"""Prompt frames as data: texts and slots, in the order in which they are written.

A frame describes the prompt of most recommenders that read text, so that nobody writes code to bring one. It is kept
small on purpose: no conditions, no loops beside "one item after the other".
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recommender.errors import ConfigError

# Which fields the text of one item may name, by slot.
_FIELDS: Mapping[str, frozenset[str]] = {
    "history": frozenset({"n", "title", "sid"}),
    "candidates": frozenset({"n", "title", "label"}),
    "target": frozenset({"title"}),
    "answer": frozenset(),
}
_KEYS: Mapping[str, frozenset[str]] = {
    "history": frozenset({"slot", "item", "sep", "max", "title_tokens", "where"}),
    "candidates": frozenset({"slot", "item", "sep", "title_tokens"}),
    "target": frozenset({"slot", "item", "title_tokens"}),
    "answer": frozenset({"slot"}),
}
_WHERE = ("liked", "disliked")
_MOST_ITEMS = 20


@dataclass(frozen=True)
class Slot:
    """A place that items fill: `item` is written for each of them, `separator` between two.

    Attributes:
        kind: `history`, `candidates`, `target` or `answer`.
        most: most items of a history, the latest ones.
        title_tokens: titles are cut to so many tokens; None leaves them whole.
        where: which items of a history: the `liked` or the `disliked` ones of its latest; None for all.
    """

    kind: str
    item: str = ""
    separator: str = ""
    most: int = _MOST_ITEMS
    title_tokens: int | None = None
    where: str | None = None

    @property
    def key(self) -> str:
        """Under which the slot's items are found: a frame has no two slots of one key."""
        return self.where or self.kind

    def names(self, field: str) -> bool:
        """Whether the text of an item holds this field."""
        return any(name == field for _, name, _, _ in string.Formatter().parse(self.item))

    def write(self, items: Sequence[Mapping[str, object]]) -> str:
        """The items' text."""
        return self.separator.join(self.item.format_map(item) for item in items)


@dataclass(frozen=True)
class Frame:
    """Texts and slots in the order of the prompt. The answer's slot is the last one.

    A history is one slot, or one of liked and one of disliked items. Both show the same latest items: they have one
    `max`.

    Raises:
        ConfigError: the answer has no slot or is not at the end, a slot occurs twice, there is no history, or its slots
            do not go together.
    """

    segments: tuple[str | Slot, ...]

    def __post_init__(self) -> None:
        kinds = [segment.kind for segment in self.segments if isinstance(segment, Slot)]
        if not self.segments or kinds[-1:] != ["answer"] or self.segments[-1] != self.slot("answer"):
            raise ConfigError("a frame needs a slot for the answer, as its last segment")
        keys = [segment.key for segment in self.segments if isinstance(segment, Slot)]
        repeated = sorted({key for key in keys if keys.count(key) > 1})
        if repeated:
            raise ConfigError(f"a frame has each slot at most once, not {', '.join(repeated)} twice")
        if "history" not in kinds:
            raise ConfigError("a frame needs a slot for the history")
        if len({slot.where is None for slot in self.histories}) > 1:
            raise ConfigError("a history is one list, or a list of liked and one of disliked items")
        most = sorted({slot.most for slot in self.histories})
        if len(most) > 1:
            raise ConfigError(f"slots of one history have one max, not {' and '.join(map(str, most))}")

    def slot(self, kind: str) -> Slot | None:
        """The slot of this kind, if the frame has it."""
        return next((one for one in self.segments if isinstance(one, Slot) and one.kind == kind), None)

    @property
    def histories(self) -> tuple[Slot, ...]:
        """The slots of the history."""
        return tuple(one for one in self.segments if isinstance(one, Slot) and one.kind == "history")

    def write(self, items: Mapping[str, Sequence[Mapping[str, object]]]) -> list[str]:
        """The text of every segment before the answer; `items` are those of each slot, by its key."""
        return [
            segment if isinstance(segment, str) else segment.write(items[segment.key])
            for segment in self.segments[:-1]
        ]

    def to_json(self) -> list[dict[str, Any]]:
        """The form of `from_json`."""
        return [{"text": one} if isinstance(one, str) else _slot_to_json(one) for one in self.segments]

    @classmethod
    def from_json(cls, content: Any) -> Frame:
        """Read a list of `{"text": …}` and `{"slot": …, …}`.

        Raises:
            ConfigError: it is something else; the message names the segment, counted from 1.
        """
        if not isinstance(content, list):
            raise ConfigError("a frame is a list of segments")
        segments: list[str | Slot] = []
        for number, segment in enumerate(content, start=1):
            try:
                segments.append(_segment(segment))
            except ConfigError as error:
                raise ConfigError(f"segment {number} of the frame: {error}") from error
        return cls(tuple(segments))


def _slot_to_json(slot: Slot) -> dict[str, Any]:
    whole = {
        "slot": slot.kind,
        "item": slot.item,
        "sep": slot.separator,
        "max": slot.most,
        "title_tokens": slot.title_tokens,
        "where": slot.where,
    }
    return {key: value for key, value in whole.items() if key in _KEYS[slot.kind] and value is not None}


def _segment(content: Any) -> str | Slot:
    if not isinstance(content, dict):
        raise ConfigError(f'it must be {{"text": …}} or {{"slot": …}}, got {content!r}')
    if "text" in content:
        if set(content) != {"text"} or not isinstance(content["text"], str):
            raise ConfigError("a text has nothing but its string")
        return str(content["text"])
    kind = content.get("slot")
    if not isinstance(kind, str) or kind not in _KEYS:
        raise ConfigError(f"slot {kind!r} is none of {', '.join(_KEYS)}")
    unknown = sorted(set(content) - _KEYS[kind])
    if unknown:
        raise ConfigError(f"the {kind} slot has no {', '.join(unknown)}")
    item, separator = content.get("item", ""), content.get("sep", "")
    most, cut = content.get("max", _MOST_ITEMS), content.get("title_tokens")
    if not isinstance(item, str) or not isinstance(separator, str):
        raise ConfigError("item and sep must be strings")
    for name, value in (("max", most), ("title_tokens", cut)):
        if value is not None and (type(value) is not int or value < 1):
            raise ConfigError(f"{name} must be a whole number of at least 1, got {value!r}")
    where = content.get("where")
    if where is not None and where not in _WHERE:
        raise ConfigError(f"where must be one of {', '.join(_WHERE)}, got {where!r}")
    _check_item(kind, item)
    return Slot(kind, item, separator, most, cut, where)


def _check_item(kind: str, item: str) -> None:
    """An item may name the fields of its slot and nothing else: no attribute, no format of its own."""
    try:
        parsed = list(string.Formatter().parse(item))
    except ValueError as error:
        raise ConfigError(f"item {item!r} cannot be read ({error}); write {{{{ for a brace") from error
    for _, name, specification, conversion in parsed:
        if name is not None and (name not in _FIELDS[kind] or specification or conversion):
            allowed = ", ".join(f"{{{field}}}" for field in sorted(_FIELDS[kind]))
            raise ConfigError(f"item {item!r} may name {allowed or 'nothing'} only; write {{{{ for a brace")
    if kind != "answer" and not any(name for _, name, _, _ in parsed):
        raise ConfigError(f"item {item!r} names no field, so all items would look alike")
