"""A loader for a vLLM server: for the fake, or for a real one.

Where `LETHE_TEST_VLLM_URL` names a real one, the contract and the marker test run on it as well. It serves the folder
`base` under `LETHE_TEST_VLLM_FOLDER`, which `python -m tests.vllm_base FOLDER` makes and says the command line for.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from app.serving.vllm_ranker import VllmLoader
from app.serving.vllm_ranker.client import VllmClient
from app.serving.vllm_ranker.folders import AdapterFolders
from app.serving.vllm_ranker.hosting import Hosting
from model_store import Store
from recommender import Base, BaseFiles
from tests.fake_vllm import BASE_NAME, KEY
from tests.vllm_base import PLACES


class Server(Protocol):
    url: str
    places: int


@dataclass
class RealServer:
    url: str
    folder: Path
    places: int = PLACES


REAL = (
    RealServer(os.environ["LETHE_TEST_VLLM_URL"], Path(os.environ["LETHE_TEST_VLLM_FOLDER"]))
    if os.environ.get("LETHE_TEST_VLLM_URL")
    else None
)
# Longer than any test: a look at the canary happens only where a test wants it.
NEVER = 3600.0


def files_of(base: Base) -> BaseFiles:
    return BaseFiles(base.catalogue, base.style, base.digest, single=True)


def loader_for(
    server: Server,
    base: Base,
    store: Store,
    place: Path,
    *,
    check_seconds: float = NEVER,
    timeout_seconds: float = 30.0,
    seen_as: str | None = None,
    **options: Any,
) -> VllmLoader:
    client = VllmClient(server.url, timeout_seconds=timeout_seconds, api_key=KEY)
    folders = AdapterFolders(place, seen_as or str(place))
    hosting = Hosting(client, folders, base_name=BASE_NAME, places=server.places)
    return VllmLoader(files_of(base), store, client, hosting, check_seconds=check_seconds, **options)
