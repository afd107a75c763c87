"""`style.json`: which style a base folder has, read together with what that style needs beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from recommender.catalogue import Catalogue
from recommender.errors import ConfigError, DataError, ModelLoadError
from recommender.styles.item_tokens import ItemTokenStyle
from recommender.styles.letters import LettersStyle
from recommender.styles.style import PromptStyle
from recommender.styles.text import TOKENIZER_FILES, load_tokenizer

STYLE_FILE = "style.json"
_SCHEMA = 2
STYLES = (ItemTokenStyle.name, LettersStyle.name)


def read_style(directory: Path, catalogue: Catalogue) -> PromptStyle:
    """The style of a base folder. Without a `style.json` it is item tokens, with the vocabulary `pad, bos, items`.

    Raises:
        ModelLoadError: the file, or what the style needs beside it, is missing, unreadable or not valid.
    """
    content = _content(directory)
    try:
        if content is None:
            return ItemTokenStyle(len(catalogue))
        if content.get("style") not in STYLES:
            raise ConfigError(
                f"{STYLE_FILE} names the style {content.get('style')!r}; known are {', '.join(STYLES)}"
            )
        if content["style"] == ItemTokenStyle.name:
            return ItemTokenStyle.from_json({key: value for key, value in content.items() if key != "schema"})
        if content.get("schema") != _SCHEMA:
            raise ConfigError(f"{STYLE_FILE} must be of schema {_SCHEMA} for {content['style']}")
        return LettersStyle.from_json(content, load_tokenizer(directory), catalogue.titles)
    except (ConfigError, DataError) as error:
        raise ModelLoadError(f"{directory}: {error}") from error


def style_files(directory: Path) -> tuple[str, ...]:
    """The files of a base folder that decide, beside weights and catalogue, what the model reads and answers."""
    content = _content(directory)
    if content is None or content.get("style") == ItemTokenStyle.name:
        return (STYLE_FILE,)
    return (STYLE_FILE, *TOKENIZER_FILES)


def save_style(style: PromptStyle, directory: Path) -> None:
    """Write `style.json`, and the tokenizer of a style that has one."""
    (directory / STYLE_FILE).write_text(json.dumps(style.to_json(), indent=1), encoding="utf-8")
    if isinstance(style, LettersStyle):
        style.writer.tokenizer.save_pretrained(directory)


def _content(directory: Path) -> dict[str, Any] | None:
    path = directory / STYLE_FILE
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelLoadError(f"cannot read {path}: {error}") from error
    if not isinstance(content, dict):
        raise ModelLoadError(f"{path} must hold an object")
    return content
