"""The frozen base model: an ordinary Hugging Face folder with a catalogue.

The folder holds the files of `save_pretrained` (config, safetensors; a tokenizer where the style reads text),
`catalogue.json` and `style.json`.
"""

import hashlib
import math
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, LlamaForCausalLM, PreTrainedModel
from transformers.utils.hub import cached_file

from recommender.catalogue import CATALOGUE_FILE, Catalogue
from recommender.errors import ConfigError, DataError, ModelLoadError, OtherCatalogue
from recommender.hub import hub_name
from recommender.llama_shape import LlamaShape
from recommender.styles import ItemTokenStyle, PromptStyle
from recommender.styles.files import (
    INDEX_FILE,
    POPULARITY_FILE,
    STYLE_FILE,
    read_precision,
    read_style,
    save_style,
    style_files,
)
from recommender.styles.text import TOKENIZER_FILES, VOCABULARY_FILES

_OUTPUT_DEVIATION = 0.02
_WEIGHTS_PATTERN = "*.safetensors"


@dataclass(frozen=True)
class BaseConfig(LlamaShape):
    """Shape of an item-token Llama; `window` is the longest history in items.

    Raises:
        ConfigError: as for every shape, or `window` is not positive.
    """

    window: int = 100

    def style(self, catalogue: Catalogue) -> ItemTokenStyle:
        """The prompt style of a base of this shape."""
        return ItemTokenStyle(len(catalogue), window=self.window)


class _Described:
    """What a base says of its catalogue, with its weights or without."""

    catalogue: Catalogue
    style: PromptStyle
    digest: str

    @cached_property
    def catalogue_digest(self) -> str:
        """SHA-256 (hex) of the items as the model reads them, see `PromptStyle.items_digest`."""
        return self.style.items_digest(self.catalogue)

    def with_catalogue(self, digest: str, items: int | None) -> Self:
        """The base with the catalogue of this digest: its own, or that from before items were added at the end.

        Args:
            items: how many items that catalogue has; None where nobody recorded it.

        Raises:
            OtherCatalogue: neither is it.
        """
        if digest == self.catalogue_digest:
            return self
        catalogue, style = _catalogue_before(self.catalogue, self.style, digest, items)
        return replace(self, catalogue=catalogue, style=style)  # type: ignore[type-var]  # both are dataclasses


@dataclass(frozen=True)
class Base(_Described):
    """A loaded base model. `model` is frozen, in eval mode and shared by all versions: it must not be changed.

    `digest` is the SHA-256 over the digests of the files that determine its output. For a style that writes items as
    text these are not the files that list the items: `catalogue_digest` says which items there are.
    """

    model: PreTrainedModel
    catalogue: Catalogue
    style: PromptStyle
    digest: str


@dataclass(frozen=True)
class BaseFiles(_Described):
    """A base whose weights are not loaded: something else computes with them.

    `single` says whether it computes in float32; see `Base` for the rest.
    """

    catalogue: Catalogue
    style: PromptStyle
    digest: str
    single: bool


def _catalogue_before(
    catalogue: Catalogue, style: PromptStyle, digest: str, items: int | None
) -> tuple[Catalogue, PromptStyle]:
    if digest == style.items_digest(catalogue):
        return catalogue, style
    if items is None or not 0 < items < len(catalogue):
        raise OtherCatalogue(f"it has {items} items, and ours {len(catalogue)}")
    try:
        before = catalogue.first(items), style.first_items(items)
    except (DataError, ConfigError) as error:
        raise OtherCatalogue(str(error)) from error
    if digest != before[1].items_digest(before[0]):
        raise OtherCatalogue(f"an item among the first {items} is another one")
    return before


def new_model(catalogue: Catalogue, config: BaseConfig) -> LlamaForCausalLM:
    """A randomly initialised item-token Llama (global torch generator)."""
    style = config.style(catalogue)
    positions = 2 ** math.ceil(math.log2(config.window + 1))
    return LlamaForCausalLM(config.llama(style, positions, bos_token_id=style.bos_token, eos_token_id=None))


def draw_base(catalogue: Catalogue, config: BaseConfig, *, seed: int) -> LlamaForCausalLM:
    """A base that was trained on nobody: random weights, scaled so that an adapter alone can learn the task.

    Token embeddings have unit variance and each layer keeps the variance of its input (`1 / inputs`; LeCun et al.,
    1998), so that items remain distinguishable through the frozen layers. The usual initial weights, which presume that
    the model itself is trained, are too small for that. The output layer starts near zero, so that all items are about
    equally likely.
    """
    generator = torch.Generator().manual_seed(seed)
    # The constructor also draws weights, from the global generator; they are overwritten below.
    with torch.random.fork_rng(devices=[]):
        model = new_model(catalogue, config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim == 2:
                deviation = 1.0 if "embed_tokens" in name else weight.shape[1] ** -0.5
                weight.normal_(
                    0.0, _OUTPUT_DEVIATION if name == "lm_head.weight" else deviation, generator=generator
                )
    return model


def save_base(model: PreTrainedModel, catalogue: Catalogue, style: PromptStyle, directory: Path) -> None:
    """Write a folder for `load_base`: Hugging Face files, `catalogue.json`, `style.json`."""
    directory.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(directory)
    catalogue.save(directory / CATALOGUE_FILE)
    save_style(style, directory)


def load_base(directory_or_hub_id: str | Path, device: str = "cpu") -> Base:
    """Load any causal language model with a `catalogue.json`, from a folder or the hub (`recommender.hub`).

    It reads only safetensors and JSON and runs no code from the folder. Without a `style.json` the vocabulary is
    assumed to be `pad, bos, items`.

    Raises:
        ModelLoadError: a file is missing or unreadable, or vocabulary and catalogue do not fit.
    """
    source, directory, revision = _locate(directory_or_hub_id)
    catalogue, style = _read_catalogue_and_style(directory)
    precision = read_precision(directory)
    try:
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            source,
            revision=revision,
            use_safetensors=True,
            trust_remote_code=False,
            **precision.load_options(device),
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelLoadError(f"{source} is not a causal language model we can read: {error}") from error
    rows = len(model.get_input_embeddings().get_parameter("weight"))
    if rows < style.vocab_size:
        raise ModelLoadError(
            f"{source}: the model has {rows} token embeddings but its style writes {style.vocab_size} tokens;"
            f" extend its vocabulary or correct {STYLE_FILE}"
        )
    if precision.quantisation is None:
        model.to(torch.device(device))  # type: ignore[arg-type]  # transformers wraps `to` without its types
    model.requires_grad_(False).train(False)
    return Base(model=model, catalogue=catalogue, style=style, digest=_digest(directory))


def read_base_files(directory_or_hub_id: str | Path) -> BaseFiles:
    """Read all of a base but its weights, which are only hashed.

    Raises:
        ModelLoadError: a file is missing or unreadable.
    """
    source, directory, revision = _locate(directory_or_hub_id)
    catalogue, style = _read_catalogue_and_style(directory)
    precision = read_precision(directory)
    try:
        config = AutoConfig.from_pretrained(source, revision=revision, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise ModelLoadError(f"{source} has no configuration we can read: {error}") from error
    single = precision.quantisation is None and (precision.dtype or config.dtype) in (None, torch.float32)
    return BaseFiles(catalogue, style, _digest(directory), single)


def _locate(directory_or_hub_id: str | Path) -> tuple[str, Path, str]:
    """The source to load weights from, the local folder of its files, and the revision on the hub."""
    source = str(directory_or_hub_id)
    directory = Path(source)
    if directory.is_dir():
        if not (directory / "config.json").is_file():
            raise ModelLoadError(f"{directory} has no config.json")
        return source, directory, "main"
    name = hub_name(directory_or_hub_id)
    if name is None:
        raise ModelLoadError(f"{source} is not a folder")
    try:
        directory = Path(str(cached_file(name.repository, "config.json", revision=name.revision))).parent
        # All further files must be of the same commit, even if the hub's model changes meanwhile.
        revision = directory.name
        for file in (CATALOGUE_FILE, STYLE_FILE, INDEX_FILE, POPULARITY_FILE, *TOKENIZER_FILES):
            cached_file(name.repository, file, revision=revision, _raise_exceptions_for_missing_entries=False)
    except (OSError, ValueError) as error:
        raise ModelLoadError(f"{source} is neither a folder nor a model of the hub: {error}") from error
    return name.repository, directory, revision


def _read_catalogue_and_style(directory: Path) -> tuple[Catalogue, PromptStyle]:
    if not (directory / CATALOGUE_FILE).is_file():
        raise ModelLoadError(f"{directory} has no {CATALOGUE_FILE}, so its tokens cannot be told as items")
    try:
        catalogue = Catalogue.load(directory / CATALOGUE_FILE)
    except (DataError, OSError) as error:
        raise ModelLoadError(f"{directory}: {error}") from error
    style = read_style(directory, catalogue)
    if style.catalogue_size != len(catalogue):
        raise ModelLoadError(
            f"{directory}: {STYLE_FILE} counts {style.catalogue_size} items, "
            f"{CATALOGUE_FILE} {len(catalogue)}"
        )
    return catalogue, style


def holds_catalogue(directory_or_hub_id: str | Path, digest: str, items: int | None) -> bool:
    """Whether the base of this folder has a catalogue that `Base.with_catalogue` accepts, without loading its weights.

    Raises:
        ModelLoadError: it is neither a folder nor a model of the hub, or its catalogue or style cannot be used.
    """
    catalogue, style = _read_catalogue_and_style(_locate(directory_or_hub_id)[1])
    try:
        _catalogue_before(catalogue, style, digest, items)
    except OtherCatalogue:
        return False
    return True


def lacks_style(directory_or_hub_id: str | Path) -> bool:
    """Whether a base has a tokenizer and no `style.json`: it reads text, and nobody has said which prompts.

    Raises:
        ModelLoadError: it is neither a folder nor a model of the hub.
    """
    _, directory, _ = _locate(directory_or_hub_id)
    has_tokenizer = any((directory / file).is_file() for file in VOCABULARY_FILES)
    return has_tokenizer and not (directory / STYLE_FILE).is_file()


def base_digest(directory_or_hub_id: str | Path) -> str | None:
    """The digest that `load_base` would compute, without loading the base; None if a path does not exist.

    Raises:
        ModelLoadError: it is neither a folder nor a model of the hub.
    """
    if not Path(directory_or_hub_id).exists() and hub_name(directory_or_hub_id) is None:
        return None
    return _digest(_locate(directory_or_hub_id)[1])


def _digest(directory: Path) -> str:
    total = hashlib.sha256()
    names = [
        "config.json",
        *style_files(directory),
        *(path.name for path in directory.glob(_WEIGHTS_PATTERN)),
    ]
    for path in (directory / name for name in sorted(names)):
        if path.is_file():
            with path.open("rb") as file:
                total.update(f"{path.name}:{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()
