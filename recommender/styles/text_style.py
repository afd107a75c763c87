"""What the styles that read text have in common."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from torch import nn

from recommender.catalogue import Catalogue
from recommender.choices import OptionSet, Window
from recommender.styles.text import PromptWriter, Supervise


class TextStyle:
    """A prompt of text, an answer of some tokens, and a loss on the tokens that the owner trained.

    Attributes:
        writer: writes the prompts.
        supervise: which tokens the owner trained: the `answer`, also the end of the sequence (`answer+eos`), or `all`.
        pad: token that pads; None for the tokenizer's.
    """

    writer: PromptWriter
    supervise: Supervise
    pad: int | None

    @property
    def history(self) -> int:
        """Most items of the history's slot."""
        slot = self.writer.frame.slot("history")
        assert slot is not None
        return slot.most

    @property
    def pad_token(self) -> int:
        """The tokenizer's, or else the end of a sequence; never attended to."""
        tokenizer = self.writer.tokenizer
        known = (self.pad, tokenizer.pad_token_id, tokenizer.eos_token_id, 0)
        return next(token for token in known if token is not None)

    @property
    def vocab_size(self) -> int:
        """Number of tokens of the tokenizer."""
        return len(self.writer.tokenizer)

    def items_digest(self, catalogue: Catalogue) -> str:
        """That of the catalogue: ids and titles are all that a prompt says of an item."""
        return catalogue.digest

    def best(
        self, model: nn.Module, history: Sequence[int], k: int, seen: Collection[int]
    ) -> Sequence[tuple[int, float]] | None:
        """None: one forward scores all that can be ranked."""
        return None

    def decode(self, tokens: Sequence[int]) -> str:
        """The tokenizer's text."""
        return str(self.writer.tokenizer.decode(list(tokens)))

    def answered(
        self,
        prompt: Sequence[int],
        answer: Sequence[int],
        *,
        event: int,
        targets: Sequence[int],
        options: Sequence[OptionSet],
        after: Sequence[int] = (),
    ) -> Window:
        """A prompt with its answer as a window: one choice for each token of the answer, all of one event.

        Args:
            after: tokens that always follow an answer.
        """
        end = self.writer.tokenizer.eos_token_id
        tokens = [*prompt, *answer, *after]
        if self.supervise != "answer" and end is not None:
            tokens.append(end)
        before = len(prompt) - 1
        return Window(
            tokens=tokens,
            events=(event,) * len(answer),
            positions=range(before, before + len(answer)),
            targets=targets,
            options=options,
            language=range(0 if self.supervise == "all" else before, len(tokens) - 1),
        )
