"""Prompt styles: how a user's history becomes tokens for a causal language model.

`style.py` says what every style can do; each style has a module of its own.
"""

from recommender.styles.item_tokens import ItemTokenStyle
from recommender.styles.letters import LettersStyle
from recommender.styles.semantic_ids import SemanticIdsStyle
from recommender.styles.style import PromptStyle
from recommender.styles.yes_no import YesNoStyle

__all__ = ["ItemTokenStyle", "LettersStyle", "PromptStyle", "SemanticIdsStyle", "YesNoStyle"]
