"""LitServe with its own batching."""

# No postponed annotations: LitServe reads the types of `decode_request` as objects.

import os
from typing import Any

import litserve

from benchmarks.serve.peers.model import MOST, Model

_WINDOW_SECONDS = float(os.environ.get("PEER_WINDOW", "0.005"))


class Api(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self._model = Model()

    def decode_request(self, request: dict[str, Any]) -> dict[str, Any]:
        return request

    def batch(self, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return inputs

    def predict(self, bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return self._model.answer(bodies)

    def unbatch(self, output: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return output

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        return output


if __name__ == "__main__":
    api = Api(max_batch_size=MOST, batch_timeout=_WINDOW_SECONDS)
    litserve.LitServer(api, accelerator="cpu", track_requests=False).run(
        port=int(os.environ["PEER_PORT"]), generate_client_file=False, log_level="warning"
    )
