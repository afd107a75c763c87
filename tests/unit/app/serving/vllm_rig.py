"""A loader for a vLLM server, and the server: the fake, or a real one that `LETHE_VLLM_URL` names."""

from pathlib import Path
from typing import Any

from app.serving.vllm_ranker import VllmLoader
from app.serving.vllm_ranker.client import VllmClient
from app.serving.vllm_ranker.folders import AdapterFolders
from app.serving.vllm_ranker.hosting import Hosting
from model_store import Store
from recommender import Base, BaseFiles
from tests.fake_vllm import BASE_NAME, KEY, FakeVllm

# Longer than any test: a look at the canary happens only where a test wants it.
NEVER = 3600.0


def files_of(base: Base) -> BaseFiles:
    return BaseFiles(base.catalogue, base.style, base.digest, single=True)


def loader_for(
    fake: FakeVllm,
    base: Base,
    store: Store,
    place: Path,
    *,
    check_seconds: float = NEVER,
    timeout_seconds: float = 30.0,
    seen_as: str | None = None,
    **options: Any,
) -> VllmLoader:
    client = VllmClient(fake.url, timeout_seconds=timeout_seconds, api_key=KEY)
    folders = AdapterFolders(place, seen_as or str(place))
    hosting = Hosting(client, folders, base_name=BASE_NAME, places=fake.places)
    return VllmLoader(files_of(base), store, client, hosting, check_seconds=check_seconds, **options)
