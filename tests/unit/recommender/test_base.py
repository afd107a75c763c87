import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from recommender import (
    Base,
    BaseConfig,
    Catalogue,
    ConfigError,
    ItemTokenStyle,
    ModelLoadError,
    Scorer,
    base_digest,
    draw_base,
    load_base,
    save_base,
)


@pytest.fixture
def folder(base_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(base_folder, tmp_path / "base"))


def test_a_loaded_base_is_frozen_and_in_eval_mode(base: Base):
    assert not base.model.training
    assert not any(parameter.requires_grad for parameter in base.model.parameters())
    assert base.style == ItemTokenStyle(24, window=6)
    assert len(base.catalogue) == 24


def test_the_folder_is_an_ordinary_hugging_face_folder(base: Base, base_folder: Path):
    theirs = AutoModelForCausalLM.from_pretrained(base_folder)
    tokens = torch.tensor([base.style.encode([3, 1])])
    assert torch.equal(theirs(tokens).logits, base.model(tokens).logits)


def test_embeddings_and_output_layer_are_not_tied(base: Base):
    # An adapter on a tied output layer would silently be one on the embeddings too.
    model = base.model
    assert model.get_input_embeddings().weight.data_ptr() != model.get_output_embeddings().weight.data_ptr()


def test_the_digest_follows_the_content_and_not_the_place(base: Base, folder: Path):
    assert load_base(folder).digest == base.digest
    style = json.loads((folder / "style.json").read_text())
    (folder / "style.json").write_text(json.dumps({**style, "window": 5}))
    assert load_base(str(folder)).digest != base.digest


def test_without_a_style_the_vocabulary_is_pad_bos_items(folder: Path):
    (folder / "style.json").unlink()
    assert load_base(folder).style == ItemTokenStyle(24)


def test_a_model_of_another_family_with_a_longer_vocabulary_is_welcome(tmp_path: Path):
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=50, n_embd=8, n_layer=1, n_head=1, n_positions=16, bos_token_id=0, eos_token_id=0
    )
    catalogue = Catalogue(("a", "b"), ("A", "B"))
    style = ItemTokenStyle(2, window=4, first_item_token=40)
    save_base(GPT2LMHeadModel(config), catalogue, style, tmp_path)
    loaded = load_base(tmp_path)
    assert (loaded.catalogue, loaded.style) == (catalogue, style)
    # One batch with padding gives what each prompt gives alone.
    histories = [[], [1], [0, 1]]
    scorer = Scorer(loaded.model, style)
    alone = torch.cat([scorer.item_log_probs([history]) for history in histories])
    torch.testing.assert_close(scorer.item_log_probs(histories), alone, atol=1e-5, rtol=1e-5)


def test_a_hub_id_is_read_from_the_cache(
    base: Base, base_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    commit = "a" * 40
    repository = tmp_path / "models--acme--demo"
    shutil.copytree(base_folder, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert load_base("acme/demo").digest == base.digest
    with pytest.raises(ModelLoadError, match="neither a folder nor a model of the hub"):
        load_base("acme/nothing")


@pytest.mark.parametrize("place", ["nowhere", "./no/where", "/nowhere", "~/x", Path("no/where")])
def test_a_path_that_does_not_exist_is_never_asked_of_the_hub(place: str | Path):
    with pytest.raises(ModelLoadError, match="is not a folder"):
        load_base(place)


def _spoil(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "catalogue.json").unlink(), r"has no catalogue\.json"),
        (lambda folder: (folder / "config.json").unlink(), r"has no config\.json"),
        (lambda folder: (folder / "model.safetensors").unlink(), "safetensors"),
        (_spoil("model.safetensors", "not tensors"), "not a causal language model we can read"),
        (_spoil("config.json", "{"), "not a causal language model we can read"),
        (_spoil("config.json", '{"model_type": "no-such-model"}'), "not a causal language model we can read"),
        (_spoil("catalogue.json", "{"), r"cannot read the catalogue"),
        (_spoil("style.json", "{"), "Expecting property name"),
        (_spoil("style.json", '{"style": "other"}'), "names the style 'other'; known are item_tokens"),
        (_spoil("style.json", '{"style": "item_tokens", "catalogue_size": 3}'), "counts 3 items"),
        (
            _spoil("style.json", '{"style": "item_tokens", "catalogue_size": 24, "first_item_token": 9}'),
            "26 token embeddings but its style writes 33 tokens",
        ),
    ],
)
def test_a_spoilt_folder_says_what_is_wrong(folder: Path, spoil: Callable[[Path], object], message: str):
    spoil(folder)
    with pytest.raises(ModelLoadError, match=message):
        load_base(folder)


def test_pickled_weights_are_not_read(folder: Path):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelLoadError, match="safetensors"):
        load_base(folder)


@pytest.mark.parametrize(
    "fields", [{"layers": 0}, {"window": 0}, {"width": 10, "heads": 4}, {"width": 9, "heads": 3}]
)
def test_an_impossible_shape_is_refused(fields: dict[str, int]):
    with pytest.raises(ConfigError):
        BaseConfig(**fields)


def test_a_drawn_base_depends_on_nothing_but_shape_and_seed(tmp_path: Path):
    catalogue = Catalogue(("a", "b", "c"), ("A", "B", "C"))
    shape = BaseConfig(layers=1, width=8, heads=2, feed_forward=16, window=4)
    before = torch.get_rng_state()
    first, same, other = (draw_base(catalogue, shape, seed=seed).state_dict() for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], same[name]) for name in first)
    assert not torch.equal(first["model.embed_tokens.weight"], other["model.embed_tokens.weight"])
    # Items stay apart, and none is likelier than another by more than a little.
    save_base(draw_base(catalogue, shape, seed=3), catalogue, shape.style(catalogue), tmp_path / "base")
    base = load_base(tmp_path / "base")
    spread = Scorer(base.model, base.style).item_log_probs([[], [0], [0, 1]])
    assert float((spread - spread.mean()).abs().max()) < 0.5


def test_the_digest_is_told_without_loading(base: Base, folder: Path, tmp_path: Path):
    assert base_digest(folder) == base.digest
    assert base_digest(tmp_path / "nowhere") is None
    assert base_digest(str(tmp_path / "nowhere")) is None
