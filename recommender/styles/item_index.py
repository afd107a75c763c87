"""What `index.json` and `popularity.json` say about the items of a catalogue, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import PreTrainedTokenizerFast

from recommender.catalogue import Catalogue
from recommender.errors import ConfigError


def read_index(content: Mapping[str, Any], catalogue: Catalogue) -> tuple[tuple[str, ...], ...]:
    """The token strings of each item of the catalogue, by index. Items of other catalogues are passed over.

    Raises:
        ConfigError: an item has no entry, two entries of different content, or one that is no list of strings.
    """
    found: dict[int, tuple[str, ...]] = {}
    for key, strings in content.items():
        item = catalogue.index(key)
        if item is None:
            continue
        if not isinstance(strings, list) or not all(isinstance(one, str) and one for one in strings):
            raise ConfigError(f"the index must give item {key!r} a list of token strings, got {strings!r}")
        if found.setdefault(item, tuple(strings)) != tuple(strings):
            raise ConfigError(f"the index lists item {key!r} twice, with different tokens")
    missing = [item_id for item, item_id in enumerate(catalogue.item_ids) if item not in found]
    if missing:
        more = f" and {len(missing) - 1} others" if len(missing) > 1 else ""
        raise ConfigError(f"the index has no tokens for item {missing[0]!r}{more} of the catalogue")
    return tuple(found[item] for item in range(len(catalogue)))


def read_popularity(content: Mapping[str, Any], catalogue: Catalogue) -> tuple[int, ...]:
    """How often each item of the catalogue was met, by index; 0 for an item that is not listed.

    Raises:
        ConfigError: a count is no whole number of at least 0.
    """
    counts = [0] * len(catalogue)
    for key, count in content.items():
        if type(count) is not int or count < 0:
            raise ConfigError(f"the popularity of item {key!r} must be a whole number, got {count!r}")
        item = catalogue.index(key)
        if item is not None:
            counts[item] = count
    return tuple(counts)


def token_numbers(
    tokenizer: PreTrainedTokenizerFast, index: tuple[tuple[str, ...], ...], catalogue: Catalogue
) -> tuple[tuple[int, ...], ...]:
    """The tokens of each item.

    Raises:
        ConfigError: a string is not one token of the tokenizer.
    """
    number: dict[str, int] = {}
    for item_id, strings in zip(catalogue.item_ids, index, strict=True):
        for string in strings:
            if string in number:
                continue
            tokens = list(tokenizer(string, add_special_tokens=False).input_ids)
            if len(tokens) != 1 or tokens[0] == tokenizer.unk_token_id:
                raise ConfigError(
                    f"{string!r} of item {item_id!r} is not one token of the tokenizer; "
                    "add it with `add_tokens` and resize the model's embeddings"
                )
            number[string] = tokens[0]
    return tuple(tuple(number[string] for string in strings) for strings in index)
