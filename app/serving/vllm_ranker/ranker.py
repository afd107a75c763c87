"""A version whose model computes in a vLLM server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import structlog

from app.serving.errors import VersionLost
from app.serving.ranker import RankingRequest, ranked
from app.serving.recommendation import RankedItem
from app.serving.vllm_ranker.client import VllmClient
from app.serving.vllm_ranker.errors import VllmError
from recommender import AskedScorer, Catalogue, PromptStyle, Question

_log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class VllmRanker:
    """A version that the server has loaded and that has passed its canary. Once lost, it stays lost.

    Args:
        still_itself: whether the server still computes the version's canary fingerprint under its name.
    """

    def __init__(
        self,
        digest: str,
        forget_epoch: int,
        catalogue: Catalogue,
        style: PromptStyle,
        client: VllmClient,
        still_itself: Callable[[], bool],
    ) -> None:
        self.digest = digest
        self.forget_epoch = forget_epoch
        self.catalogue = catalogue
        self._style = style
        self._client = client
        self._still_itself = still_itself
        self._lost = threading.Event()

    @property
    def lost(self) -> bool:
        """Whether the server has failed to answer for this version once."""
        return self._lost.is_set()

    def rank(self, requests: Sequence[RankingRequest]) -> list[tuple[RankedItem, ...]]:
        """The best items of each request by the server's probabilities; see `Ranker.rank`.

        Raises:
            VersionLost: the server did not answer for this version.
        """
        if self.lost:
            raise VersionLost
        return ranked(AskedScorer(self._style, self._ask), self.catalogue, requests)

    def tokens(self, request: RankingRequest) -> int:
        """Approximate number of tokens in the prompt, see `PromptStyle.prompt_tokens`."""
        return self._style.prompt_tokens(request.history)

    def check(self) -> None:
        """Put the canary prompts to the server again, and be lost if the answers are not this version's."""
        try:
            itself = self._still_itself()
        except VllmError as error:
            self._lose(type(error).__name__)
        else:
            if not itself:
                self._lose("FingerprintMismatch")

    def _ask(self, questions: Sequence[Question]) -> list[list[float]]:
        try:
            return self._client.log_probs(self.digest, questions)
        except VllmError as error:
            self._lose(type(error).__name__)
            # Without the cause: what a server says of a call may quote it.
            raise VersionLost from None

    def _lose(self, why: str) -> None:
        if not self._lost.is_set():
            self._lost.set()
            _log.warning("serving.vllm.lost", version=self.digest, error=why)
