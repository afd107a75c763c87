"""What the styles that read text have in common."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

from recommender.choices import OptionSet, Window
from recommender.styles.style import METHODS_DRAW, InOneForward
from recommender.styles.text import FrameDraw, PromptWriter, Supervise


class TextStyle(InOneForward, ABC):
    """A prompt of text, an answer of some tokens, and a loss on the tokens that the owner trained.

    Attributes:
        writer: writes the prompts of the first frame, in which everything is measured.
        others: write those of further frames.
        frame_draw: whether training draws one of all frames for each window and epoch (`random`), or takes the first.
        serve_frame: the place of the frame in which candidates are ranked.
        first_target: number of a user's first events that are never predicted.
        supervise: which tokens the owner trained: the `answer`, also the end of the sequence (`answer+eos`), or `all`.
        pad: token that pads; None for the tokenizer's.
    """

    name: ClassVar[str]
    writer: PromptWriter
    others: tuple[PromptWriter, ...]
    frame_draw: FrameDraw
    serve_frame: int
    supervise: Supervise
    first_target: int
    pad: int | None

    @property
    def writers(self) -> tuple[PromptWriter, ...]:
        """Of all frames, in their order."""
        return (self.writer, *self.others)

    @property
    def frames(self) -> int:
        """Number of frames."""
        return len(self.writers)

    @property
    def serving(self) -> PromptWriter:
        """Writes the prompts after which candidates are ranked."""
        return self.writers[self.serve_frame]

    @property
    def catalogue_size(self) -> int:
        """Number of items that have a title."""
        return len(self.writer.titles)

    def first_items(self, count: int) -> Self:
        """The style over the first `count` titles."""
        return replace(  # type: ignore[type-var]  # each style is a dataclass
            self,
            writer=self.writer.first_items(count),
            others=tuple(writer.first_items(count) for writer in self.others),
        )

    def drawn(self, draw: int, history: Sequence[int], item: int) -> int:
        """The frame of a window of this draw: the first one for whatever is not training."""
        if draw <= METHODS_DRAW or self.frame_draw == "first":
            return 0
        return random.Random(f"{draw}/frame/{len(history)}/{item}").randrange(self.frames)

    def offered(self, history: Sequence[int], item: int, draw: int) -> list[int] | None:
        """The candidates that a window of this draw offers; None where it offers none."""
        return None

    @property
    def redraws(self) -> bool:
        """Whether training draws frames."""
        return self.frame_draw == "random"

    def windows(self, sequence: Sequence[int], *, draw: int = 0) -> Iterator[Window]:
        """One window for each event from `first_target` on.

        Raises:
            DataError: an event that has no window.
        """
        for place in range(self.first_target, len(sequence)):
            history, event = sequence[:place], sequence[place]
            offered = self.offered(history, event, draw)
            yield self.event_window(history, event, offered, frame=self.drawn(draw, history, event))

    @abstractmethod
    def event_window(
        self, history: Sequence[int], item: int, candidates: Sequence[int] | None = None, *, frame: int = 0
    ) -> Window:
        """As `PromptStyle.event_window`."""

    def text_to_json(self) -> dict[str, Any]:
        """What `recommender.styles.text.read_text_fields` reads."""
        found: dict[str, Any] = {
            "schema": 2,
            "style": self.name,
            "frames": [writer.frame.to_json() for writer in self.writers],
            "max_tokens": self.writer.max_tokens,
            "tokenise": self.writer.tokenise,
            "truncate": self.writer.truncate,
            "supervise": self.supervise,
            "first_target": self.first_target,
            "pad_token": self.pad_token,
        }
        if self.frames > 1:
            found |= {"frame_draw": self.frame_draw, "serve_frame": self.serve_frame}
        return found

    @property
    def history(self) -> int:
        """Most items of a history's slot."""
        return max(writer.frame.histories[0].most for writer in self.writers)

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
