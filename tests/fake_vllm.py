"""A vLLM server as its documentation and source describe it (0.32.0), as far as Lethe calls it, around a tiny model.

Its numbers are real: each answer is one forward pass of the base with the adapter that it read from a folder. It
enforces what vLLM enforces, and more: a field that Lethe has no reason to send is refused, where vLLM ignores it. What
Lethe must not rely on, it does as vLLM does: unloading a name frees no weights, and an adapter that was displaced is
read from its folder again. `lies` make it a server that must not be served from.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import nn

from recommender import Adapter, AdapterMismatch, Base, ModelLoadError, attach

BASE_NAME, KEY = "the-base", "a key of the test's"
_MOST_NAMED = 128
Lie = Literal[
    "unknown names are the base",  # VLLM_SKIP_MODEL_NAME_VALIDATION
    "unloading does nothing",
    "unloaded names still answer",
    "the base answers under any adapter's name",
    "every folder is the first one",
    "loading does nothing",
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Completion(_Strict):
    model: str
    prompt: list[list[int]] | list[int] = Field(min_length=1)
    max_tokens: Literal[1]
    temperature: float = 0.0
    logprobs: int | None = None
    logprob_token_ids: list[int] | None = None
    return_tokens_as_token_ids: bool = False
    cache_salt: str | None = Field(None, min_length=1, max_length=128)


class _Load(_Strict):
    lora_name: str = Field(min_length=1)
    lora_path: str = Field(min_length=1)


class _Unload(_Strict):
    lora_name: str = Field(min_length=1)


@dataclass(frozen=True)
class _Named:
    number: int
    path: str


class _Error(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class FakeVllm:
    """`served` runs it. Attributes may be changed while it runs."""

    base: Base
    places: int = 3
    runtime_updating: bool = True
    max_logprobs: int = 20
    max_lora_rank: int = 64
    lies: set[Lie] = field(default_factory=set)
    url: str = ""
    salts: set[tuple[str, str | None]] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)
    forwards: int = 0
    answering: threading.Event = field(default_factory=threading.Event)
    _names: dict[str, _Named] = field(default_factory=dict)
    _unloaded: dict[str, nn.Module] = field(default_factory=dict)
    _memory: OrderedDict[int, tuple[str, nn.Module]] = field(default_factory=OrderedDict)
    _numbers: int = 0
    _first_path: str | None = None
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.answering.set()

    def restart(self) -> None:
        """What a crash and a supervisor do: the same server with no adapter."""
        with self._lock:
            self._names.clear()
            self._unloaded.clear()
            self._memory.clear()

    def exchange(self, name: str, path: Path) -> None:
        """Somebody loads another adapter under a name that is there (`load_inplace`)."""
        with self._lock:
            self._names[name] = self._loaded(str(path))

    def names(self) -> set[str]:
        """The names that answer."""
        with self._lock:
            return set(self._names)

    def folders_in_memory(self) -> set[str]:
        """Names of the folders whose weights are in memory, whatever the names are that answer."""
        with self._lock:
            return {Path(path).name for path, _ in self._memory.values()}

    def handle(self, method: str, path: str, body: bytes, key: str | None) -> tuple[int, Any]:
        self.calls.append(path)
        if path == "/health":
            return 200, None
        if key != f"Bearer {KEY}":
            return 401, {"error": "Unauthorized"}
        updates = {"/v1/load_lora_adapter": self._load, "/v1/unload_lora_adapter": self._unload}
        try:
            if (method, path) == ("GET", "/v1/models"):
                return 200, self._models()
            if (method, path) == ("POST", "/v1/completions"):
                return 200, self._complete(_Completion.model_validate_json(body))
            if method == "POST" and path in updates and self.runtime_updating:
                return 200, updates[path](body)
        except ValidationError as error:
            return 400, _error(400, str(error))
        except _Error as error:
            return error.status, _error(error.status, str(error))
        return 404, {"detail": "Not Found"}

    def _models(self) -> dict[str, Any]:
        with self._lock:
            cards = [{"id": BASE_NAME, "object": "model", "parent": None}]
            cards += [{"id": name, "object": "model", "parent": BASE_NAME} for name in self._names]
            return {"object": "list", "data": cards}

    def _load(self, body: bytes) -> str:
        call = _Load.model_validate_json(body)
        with self._lock:
            if call.lora_name == BASE_NAME:
                raise _Error(400, f"The lora adapter '{call.lora_name}' conflicts with a served base model.")
            if call.lora_name in self._names:
                raise _Error(400, f"The lora adapter '{call.lora_name}' has already been loaded.")
            if "loading does nothing" not in self.lies:
                self._names[call.lora_name] = self._loaded(call.lora_path)
            return f"Success: LoRA adapter '{call.lora_name}' added successfully."

    def _unload(self, body: bytes) -> str:
        call = _Unload.model_validate_json(body)
        with self._lock:
            if call.lora_name not in self._names:
                raise _Error(404, f"The lora adapter '{call.lora_name}' cannot be found.")
            if "unloaded names still answer" in self.lies:
                self._unloaded[call.lora_name] = self._model(self._names[call.lora_name])
            if "unloading does nothing" not in self.lies:
                del self._names[call.lora_name]
            return f"Success: LoRA adapter '{call.lora_name}' removed successfully."

    def _loaded(self, path: str) -> _Named:
        if "every folder is the first one" in self.lies:
            path = self._first_path = self._first_path or path
        self._numbers += 1
        named = _Named(self._numbers, path)
        self._model(named)
        return named

    def _model(self, named: _Named) -> nn.Module:
        """The model with this adapter, out of memory or of its folder; the least recently used one makes room."""
        if named.number not in self._memory:
            try:
                adapter = Adapter.load(Path(named.path))
            except ModelLoadError:
                raise _Error(404, f"No adapter found for {named.path}") from None
            if adapter.config["r"] > self.max_lora_rank:
                raise _Error(500, f"LoRA rank {adapter.config['r']} is greater than max_lora_rank")
            try:
                self._memory[named.number] = named.path, attach(self.base, adapter)
            except AdapterMismatch as error:
                raise _Error(500, str(error)) from error
            while len(self._memory) > self.places:
                self._memory.popitem(last=False)
        self._memory.move_to_end(named.number)
        return self._memory[named.number][1]

    def _complete(self, call: _Completion) -> dict[str, Any]:
        assert self.answering.wait(60)
        prompts = [call.prompt] if isinstance(call.prompt[0], int) else call.prompt
        vocabulary = self.base.model.config.vocab_size
        if not all(0 <= token < vocabulary for prompt in prompts for token in prompt):  # type: ignore[union-attr]
            raise _Error(400, "Token id out of vocabulary")
        named = call.logprob_token_ids
        if named is not None:
            if len(named) > _MOST_NAMED or call.logprobs != len(named) or not named:
                raise _Error(
                    400, "logprob_token_ids: too many, none, or logprobs does not equal their number"
                )
        elif call.logprobs is not None:
            wanted = vocabulary if call.logprobs == -1 else call.logprobs
            if wanted > (vocabulary if self.max_logprobs == -1 else self.max_logprobs):
                raise _Error(400, f"Requested sample logprobs of {wanted}, greater than {self.max_logprobs}")
            named = list(range(vocabulary))
        with self._lock:
            model, label = self._answering(call.model)
            self.salts.add((label, call.cache_salt))
            choices = [
                {"index": place, "text": "", "finish_reason": "length", "logprobs": self._next(model, prompt, named)}
                for place, prompt in enumerate(prompts)
            ]  # fmt: skip
        return {"object": "text_completion", "model": label, "choices": choices}

    def _answering(self, name: str) -> tuple[nn.Module, str]:
        """The model that answers under a name, and the name that it answers with."""
        named = self._names.get(name)
        if named is None and name in self._unloaded and "unloaded names still answer" in self.lies:
            return self._unloaded[name], name
        if named is not None and "the base answers under any adapter's name" in self.lies:
            return self.base.model, name
        if named is not None:
            return self._model(named), name
        if name == BASE_NAME or "unknown names are the base" in self.lies:
            return self.base.model, BASE_NAME
        raise _Error(404, f"The model `{name}` does not exist.")

    @torch.inference_mode()
    def _next(self, model: nn.Module, prompt: Any, named: list[int] | None) -> dict[str, Any] | None:
        self.forwards += 1
        logits = model(input_ids=torch.tensor([prompt]), use_cache=False).logits[0, -1].float()
        if named is None:
            return None
        log_probs = torch.log_softmax(logits, dim=-1)
        top = {f"token_id:{token}": float(log_probs[token]) for token in [int(logits.argmax()), *named]}
        return {"tokens": [next(iter(top))], "top_logprobs": [top]}

    @contextmanager
    def served(self, port: int = 0) -> Iterator[FakeVllm]:
        """Listen on this port, or a free one, until the end of the block."""
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, answer = fake.handle(self.command, self.path, body, self.headers.get("Authorization"))
                data = b"" if answer is None else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        self.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield self
        finally:
            self.answering.set()
            server.shutdown()
            server.server_close()
            thread.join()


def _error(status: int, message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "Error", "param": None, "code": status}}
