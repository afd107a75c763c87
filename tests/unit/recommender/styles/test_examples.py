"""The example folders of the documentation are bases as soon as a model and a tokenizer lie in them."""

import json
import shutil
from pathlib import Path

import pytest
from transformers import LlamaConfig, LlamaForCausalLM

from recommender import Catalogue, load_base
from recommender.text_base import train_tokenizer

EXAMPLES = Path(__file__).parents[4] / "docs/examples"


@pytest.mark.parametrize("example", sorted(EXAMPLES.iterdir()), ids=lambda folder: folder.name)
def test_an_example_is_a_base_with_a_model_beside_it(example: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(example, tmp_path / "base"))
    catalogue = Catalogue.load(folder / "catalogue.json")
    tokenizer = train_tokenizer([*catalogue.titles, (folder / "style.json").read_text()])
    if (folder / "index.json").exists():
        index = json.loads((folder / "index.json").read_text())
        tokenizer.add_tokens(sorted({token for own in index.values() for token in own}))
    tokenizer.save_pretrained(folder)
    LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=8,
            intermediate_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=2048,
        )
    ).save_pretrained(folder)
    base = load_base(folder)
    assert base.style.name == example.name
    assert base.style.catalogue_size == len(catalogue) == 6
    events = [
        base.style.event(place % 6, rating=1.0 + place % 5) for place in range(base.style.first_target + 1)
    ]
    (window,) = list(base.style.windows(events, draw=-1))[-1:]
    assert window.targets
