"""mosec: an HTTP server in Rust, and one worker process with the model."""

from __future__ import annotations

import os
from typing import Any

from mosec import Server, Worker

from benchmarks.serve.peers.model import MOST, Model

_WINDOW_MILLISECONDS = int(1e3 * float(os.environ.get("PEER_WINDOW", "0.005")))


class Ranking(Worker):
    def __init__(self) -> None:
        super().__init__()
        self._model = Model()

    def forward(self, data: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return self._model.answer(data)


if __name__ == "__main__":
    server = Server()
    server.append_worker(Ranking, num=1, max_batch_size=MOST, max_wait_time=max(1, _WINDOW_MILLISECONDS))
    server.run()
