"""Imports from the hub's cache, without a network."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from recommender import ModelLoadError, base_digest, load_base
from recommender.hub import HubName, hub_name, model_folder
from recommender.imports.importing import import_adapter
from tests.unit.recommender.imports.conftest import Owner, imported_logits

COMMITS = {"base": "a" * 40, "adapter": "b" * 40}


@pytest.fixture
def cached(owner: Callable[..., Owner], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Owner:
    """The owner's folders as shop/base and shop/adapter in a cache, each at one commit, which is main's and v1's."""
    theirs, cache = owner(), tmp_path / "cache"
    for name, commit in COMMITS.items():
        repository = cache / f"models--shop--{name}"
        shutil.copytree(getattr(theirs, name), repository / "snapshots" / commit)
        (repository / "refs").mkdir()
        for reference in ("main", "v1"):
            (repository / "refs" / reference).write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return theirs


def test_what_is_a_name_on_the_hub() -> None:
    assert hub_name("shop/base") == HubName("shop/base", "main")
    assert hub_name("shop/base@v1") == HubName("shop/base", "v1")
    for path in ("base", "./shop/base", "/shop/base", "~/base", "a/b/c", Path("shop/base")):
        assert hub_name(path) is None


def test_base_and_adapter_are_imported_and_their_commits_are_in_the_report(
    cached: Owner, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    report = import_adapter("shop/base", "shop/adapter@v1", out)
    torch.testing.assert_close(imported_logits(out), cached.logits, atol=1e-5, rtol=0)
    assert report.lines()[:2] == [
        f"base: shop/base of the hub, at commit {COMMITS['base']}",
        f"adapter: shop/adapter@v1 of the hub, at commit {COMMITS['adapter']}",
    ]
    assert COMMITS["base"] in (out / "import.json").read_text()
    assert report.base_digest == base_digest(cached.base)


@pytest.mark.parametrize("revision", ["", "@v1", f"@{COMMITS['base']}"])
def test_a_base_is_loaded_at_a_revision(cached: Owner, revision: str) -> None:
    assert base_digest(f"shop/base{revision}") == load_base(cached.base).digest
    assert load_base(f"shop/base{revision}").digest == load_base(cached.base).digest


@pytest.mark.parametrize("name", ["shop/other", "shop/base@v2", "shop/ba se"])
def test_what_the_cache_lacks_is_said_in_one_line(cached: Owner, tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelLoadError, match=r"neither a folder nor to be had from the hub") as caught:
        import_adapter(name, "shop/adapter", tmp_path / "out")
    assert str(caught.value).startswith(name)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_folder_comes_before_the_hub(
    cached: Owner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop" / "base").mkdir(parents=True)
    assert model_folder("shop/base").path == Path("shop/base")
    assert model_folder("shop/base").commit is None
