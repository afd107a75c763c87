"""The calls of vLLM's HTTP API that serving needs, and what their answers must look like."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import httpx

from app.serving.vllm_ranker.errors import AnswerDistrusted, CallRefused, NameUnknown, ServerFailed
from recommender import Question

# vLLM gathers at most so many tokens that were named (`MAX_LOGPROB_TOKEN_IDS`); beyond, it gives the whole vocabulary.
MOST_NAMED_TOKENS = 128
# vLLM takes 1,024 prompts in one call unless it is told otherwise.
_MOST_PROMPTS = 256
_LONGEST_MESSAGE = 300


class VllmClient:
    """One server. Safe for any thread.

    Args:
        url: where the server listens, without `/v1`.
        timeout_seconds: for an answer, and for each call that lists or removes names.
        load_seconds: for loading an adapter.
        api_key: the server's `--api-key`.
    """

    def __init__(
        self, url: str, *, timeout_seconds: float, load_seconds: float = 120.0, api_key: str | None = None
    ) -> None:
        self.url = url
        self._load_seconds = load_seconds
        self._http = httpx.Client(
            base_url=url,
            timeout=timeout_seconds,
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            # No proxy of the environment: prompts hold what somebody watched or bought.
            trust_env=False,
        )

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def names(self) -> set[str]:
        """The names that the server says it has, the base model's among them.

        Raises:
            VllmError: there is no list.
        """
        body = self._json("GET", "/v1/models")
        try:
            return {str(card["id"]) for card in body["data"]}
        except (KeyError, TypeError) as error:
            raise AnswerDistrusted("the list of models has another form") from error

    def healthy(self) -> bool:
        """Whether the server says that its engine lives."""
        try:
            return self._http.get("/health").status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def load(self, name: str, path: str) -> None:
        """Load the adapter in the folder `path` of the server's machine.

        Raises:
            VllmError: it is not loaded. `NameUnknown` if the server has no such call, or sees no such folder.
        """
        call = {"lora_name": name, "lora_path": path}
        self._call("POST", "/v1/load_lora_adapter", call, timeout=self._load_seconds)

    def unload(self, name: str) -> None:
        """Remove a name.

        Raises:
            VllmError: it is not removed. `NameUnknown` if it is not there.
        """
        self._call("POST", "/v1/unload_lora_adapter", {"lora_name": name})

    def knows(self, name: str) -> bool:
        """Whether the server answers a prompt under this name, whatever computes the answer.

        Raises:
            VllmError: neither an answer nor a clear no.
        """
        prompt = {"model": name, "prompt": [0], "max_tokens": 1}
        try:
            self._call("POST", "/v1/completions", prompt)
        except NameUnknown:
            return False
        return True

    def log_probs(self, name: str, questions: Sequence[Question]) -> list[list[float]]:
        """The answers of the model `name`: for each question the log-probabilities of its options.

        The prefix cache is salted with the name, so it holds nothing of another version.

        Raises:
            VllmError: no answer, or not one of this model. `NameUnknown` if the server has it no more.
        """
        alike: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        for place, question in enumerate(questions):
            alike[question.options].append(place)
        found: dict[int, list[float]] = {}
        for options, places in alike.items():
            for first in range(0, len(places), _MOST_PROMPTS):
                chosen = places[first : first + _MOST_PROMPTS]
                prompts = [list(questions[place].prompt) for place in chosen]
                found |= zip(chosen, self._ask(name, prompts, options), strict=True)
        return [found[place] for place in range(len(questions))]

    def _ask(self, name: str, prompts: Sequence[Sequence[int]], options: Sequence[int]) -> list[list[float]]:
        call: dict[str, Any] = {
            "model": name,
            "prompt": prompts,
            "max_tokens": 1,
            "temperature": 0.0,
            "logprobs": -1,
            "return_tokens_as_token_ids": True,
            "cache_salt": name,
        }
        if len(options) <= MOST_NAMED_TOKENS:
            call |= {"logprobs": len(options), "logprob_token_ids": list(options)}
        body = self._json("POST", "/v1/completions", call)
        # The one thing that tells an answer of the base from one of the adapter: vLLM names what computed it.
        if body.get("model") != name:
            raise AnswerDistrusted("an answer bears another model's name")
        try:
            choices = {choice["index"]: choice["logprobs"]["top_logprobs"][0] for choice in body["choices"]}
            answers = [
                [choices[place][f"token_id:{token}"] for token in options] for place in range(len(prompts))
            ]
        except (KeyError, TypeError, IndexError) as error:
            raise AnswerDistrusted("an answer lacks a probability that was asked for") from error
        if not all(
            isinstance(value, float | int) and math.isfinite(value) for row in answers for value in row
        ):
            raise AnswerDistrusted("a probability is no finite number")
        return answers

    def _json(self, method: str, path: str, call: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            body = self._call(method, path, call).json()
        except ValueError as error:
            raise AnswerDistrusted("an answer is not JSON") from error
        if not isinstance(body, dict):
            raise AnswerDistrusted("an answer is not a JSON object")
        return body

    def _call(
        self, method: str, path: str, call: dict[str, Any] | None = None, *, timeout: float | None = None
    ) -> httpx.Response:
        options: dict[str, Any] = {} if timeout is None else {"timeout": timeout}
        try:
            response = self._http.request(method, path, json=call, **options)
        except httpx.HTTPError as error:
            raise ServerFailed(f"{path}: {type(error).__name__}") from error
        if response.is_success:
            return response
        message = _message(response)
        if response.status_code == httpx.codes.NOT_FOUND:
            raise NameUnknown(message)
        if response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise ServerFailed(f"{path}: {response.status_code} {message}")
        raise CallRefused(response.status_code, message)


def _message(response: httpx.Response) -> str:
    """What the server says about an error. A prompt's validation error may quote the prompt, so only known parts."""
    try:
        said = response.json()["error"]["message"]
    except (ValueError, KeyError, TypeError):
        return ""
    return str(said)[:_LONGEST_MESSAGE]
