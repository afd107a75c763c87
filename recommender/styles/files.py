"""`style.json`: which style a base folder has, read together with what that style needs beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from recommender.catalogue import CATALOGUE_FILE, Catalogue
from recommender.errors import ConfigError, DataError, ModelLoadError
from recommender.precision import PRECISION_KEYS, Precision
from recommender.styles.item_tokens import ItemTokenStyle
from recommender.styles.letters import LettersStyle
from recommender.styles.semantic_ids import SemanticIdsStyle
from recommender.styles.style import PromptStyle
from recommender.styles.text import TOKENIZER_FILES, load_tokenizer
from recommender.styles.text_style import TextStyle
from recommender.styles.yes_no import YesNoStyle

STYLE_FILE = "style.json"
# The tokens of each item, {item id: [token strings]}, as LC-Rec writes them.
INDEX_FILE = "index.json"
# How often each item was met, {item id: count}, where that orders the items that share their tokens.
POPULARITY_FILE = "popularity.json"
_SCHEMA = 2
STYLES = (ItemTokenStyle.name, LettersStyle.name, SemanticIdsStyle.name, YesNoStyle.name)


def read_style(directory: Path, catalogue: Catalogue) -> PromptStyle:
    """The style of a base folder. Without a `style.json` it is item tokens, with the vocabulary `pad, bos, items`.

    Raises:
        ModelLoadError: the file, or what the style needs beside it, is missing, unreadable or not valid.
    """
    content = _object(directory / STYLE_FILE)
    try:
        if content is None:
            return ItemTokenStyle(len(catalogue))
        content = {key: value for key, value in content.items() if key not in PRECISION_KEYS}
        if content.get("style") not in STYLES:
            raise ConfigError(
                f"{STYLE_FILE} names the style {content.get('style')!r}; known are {', '.join(STYLES)}"
            )
        if content["style"] == ItemTokenStyle.name:
            return ItemTokenStyle.from_json({key: value for key, value in content.items() if key != "schema"})
        if content.get("schema") != _SCHEMA:
            raise ConfigError(f"{STYLE_FILE} must be of schema {_SCHEMA} for {content['style']}")
        tokenizer = load_tokenizer(directory)
        if content["style"] == LettersStyle.name:
            return LettersStyle.from_json(content, tokenizer, catalogue.titles)
        if content["style"] == YesNoStyle.name:
            return YesNoStyle.from_json(content, tokenizer, catalogue.titles)
        index = _object(directory / INDEX_FILE)
        if index is None:
            raise ConfigError(f"{SemanticIdsStyle.name} need {INDEX_FILE}: the tokens of each item")
        return SemanticIdsStyle.from_json(
            content, tokenizer, catalogue, index, _object(directory / POPULARITY_FILE)
        )
    except (ConfigError, DataError) as error:
        raise ModelLoadError(f"{directory}: {error}") from error


def read_precision(directory: Path) -> Precision:
    """In which numbers the base of a folder computes.

    Raises:
        ModelLoadError: `style.json` is unreadable, or names numbers that we do not know.
    """
    try:
        return Precision.from_json(_object(directory / STYLE_FILE) or {})
    except ConfigError as error:
        raise ModelLoadError(f"{directory}: {error}") from error


def style_files(directory: Path) -> tuple[str, ...]:
    """The files of a base folder that decide, beside its weights, what the model reads and answers.

    Where items are written as text, those that list the items are not among them: more items change no model.
    """
    content = _object(directory / STYLE_FILE)
    if content is None or content.get("style") == ItemTokenStyle.name:
        return (CATALOGUE_FILE, STYLE_FILE)
    return (STYLE_FILE, *TOKENIZER_FILES)


def save_style(style: PromptStyle, directory: Path) -> None:
    """Write `style.json`, the tokenizer of a style that has one, and the tokens of its items if they are its own."""
    _write(directory / STYLE_FILE, style.to_json())
    if isinstance(style, TextStyle):
        style.writer.tokenizer.save_pretrained(directory)
    if isinstance(style, SemanticIdsStyle):
        _write(directory / INDEX_FILE, style.index_json())
        if style.popularity is not None:
            _write(directory / POPULARITY_FILE, dict(zip(style.item_ids, style.popularity, strict=True)))


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _object(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelLoadError(f"cannot read {path}: {error}") from error
    if not isinstance(content, dict):
        raise ModelLoadError(f"{path} must hold an object")
    return content
