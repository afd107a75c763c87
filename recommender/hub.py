"""Names on the Hugging Face hub: `owner/name`, or `owner/name@revision` for a branch, a tag or a commit.

Files come from the hub's local cache, or through the network unless `HF_HUB_OFFLINE` is set.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import snapshot_download

from recommender.errors import ModelLoadError

# What an import reads of a base and of an adapter. A base's pickled weights are never read, and may be large.
_FILES = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "adapter_model.bin"]


@dataclass(frozen=True)
class HubName:
    """A repository, and a revision of it."""

    repository: str
    revision: str = "main"


def hub_name(text: str | Path) -> HubName | None:
    """What is named on the hub; None for what can only be a path, so that it must not cause a request to the hub."""
    source = str(text)
    repository, _, revision = source.partition("@")
    if isinstance(text, Path) or repository.count("/") != 1 or source.startswith((".", "/", "~")):
        return None
    return HubName(repository, revision or "main")


@dataclass(frozen=True)
class ModelFolder:
    """A folder with a model's files; `commit` is the hub's where it came from there, else None."""

    path: Path
    commit: str | None = None


def model_folder(text: str) -> ModelFolder:
    """The folder of this path, or of this name on the hub.

    Raises:
        ModelLoadError: it is a name, and neither the cache nor the hub has it. The message is one line.
    """
    name = None if Path(text).exists() else hub_name(text)
    if name is None:
        return ModelFolder(Path(text))
    try:
        path = Path(snapshot_download(name.repository, revision=name.revision, allow_patterns=_FILES))
    except (OSError, ValueError) as error:
        reason = next(
            (line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__
        )
        raise ModelLoadError(f"{text} is neither a folder nor to be had from the hub: {reason}") from error
    # The cache names each snapshot's folder by its commit.
    return ModelFolder(path, path.name)
