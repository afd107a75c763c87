"""FastAPI with a plain batcher: whatever waits when the model is free is the next batch."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from benchmarks.serve.peers.model import MOST, Model


class Body(BaseModel):
    history: list[int]
    k: int


_model = Model()
_waiting: asyncio.Queue[tuple[dict[str, Any], asyncio.Future[dict[str, Any]]]] = asyncio.Queue()


async def _batches() -> None:
    loop, pool = asyncio.get_running_loop(), ThreadPoolExecutor(1)
    while True:
        batch = [await _waiting.get()]
        while len(batch) < MOST and not _waiting.empty():
            batch.append(_waiting.get_nowait())
        answers = await loop.run_in_executor(pool, _model.answer, [body for body, _ in batch])
        for (_, future), answer in zip(batch, answers, strict=True):
            future.set_result(answer)


@asynccontextmanager
async def _lifespan(_app: FastAPI) -> AsyncIterator[None]:
    task = asyncio.create_task(_batches())
    yield
    task.cancel()


app = FastAPI(lifespan=_lifespan)


@app.get("/health")
async def health() -> str:
    return "ok"


@app.post("/predict")
async def predict(body: Body) -> dict[str, Any]:
    future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    await _waiting.put((body.model_dump(), future))
    return await future


if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ["PEER_PORT"]), access_log=False, log_level="warning")
