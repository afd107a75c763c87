"""`lethe import`: adapter folders as they really come, written as a base folder and an adapter folder."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, PreTrainedModel

from recommender.adapters import Adapter, check_fits
from recommender.base import base_digest, lacks_style
from recommender.catalogue import CATALOGUE_FILE
from recommender.errors import ConfigError, ModelLoadError
from recommender.hub import ModelFolder, model_folder
from recommender.imports.earlier import continues, difference, merge
from recommender.imports.normalising import normalise
from recommender.imports.reading import PREFIX, Saved, read_folder
from recommender.imports.report import Report
from recommender.recipes import RECIPE_FILE
from recommender.styles.files import STYLE_FILE

BASE, ADAPTER, REPORT_FILE = "base", "adapter", "import.json"
# In a base that an earlier adapter was merged into.
EARLIER_FILE = "earlier_adapter.json"
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".h5", ".msgpack", ".gguf", ".index.json")
_TOKENIZER = (
    "added_tokens.json", "chat_template.jinja", "merges.txt", "special_tokens_map.json", "spiece.model",
    "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json",
)  # fmt: skip


def import_adapter(
    base: str | Path,
    adapter: str | Path,
    out: Path,
    *,
    before: str | Path | None = None,
    added_untrained: bool = False,
) -> Report:
    """Write `out/base` and `out/adapter`, with which the model is what its owner loads, and say what was done.

    Both are read whole before anything is written, and `out` appears only when all of it is there. The base must fit
    into memory. The random generators are not used.

    Args:
        base: a folder of a causal language model in safetensors, or its name on the hub (`recommender.hub`), as for
            the adapters. What it lacks of tokens that were added for the
            adapter is taken from the adapter's folder.
        adapter: a PEFT folder, its weights in safetensors or pickled.
        before: an earlier adapter of `base` that `adapter` was trained on or went on from; it is merged into the base.
        added_untrained: rows of added tokens were not trained, where the folder does not show whether they were.

    Raises:
        ConfigError: `out` is there already.
        ModelLoadError: a folder lacks something or holds something that is not read.
        AdapterMismatch: the adapter is of a kind that Lethe cannot edit, of another base, or lacks tensors.
    """
    if out.exists():
        raise ConfigError(f"{out} is there already: name a folder that is not")
    report = Report()
    base, adapter = _folder(base, "base", report), _folder(adapter, "adapter", report)
    before = None if before is None else _folder(before, "earlier adapter", report)
    earlier = None if before is None else read_folder(before)
    saved = read_folder(adapter)
    model = _load(base)
    if earlier is None:
        made, changed = normalise(model, saved, report, added_untrained=added_untrained)
    else:
        made, changed = _on_top(model, earlier, saved, report), True
        report.add(
            "base",
            "note",
            "it holds what the earlier adapter had learnt: lethe init asks whom that one had read (--base-readers)",
        )
    check_fits(model, made)
    _write(model, made, base, adapter, out, report, changed=changed, holds_earlier=earlier is not None)
    return report


def _folder(place: str | Path, group: str, report: Report) -> Path:
    found = model_folder(str(place)) if isinstance(place, str) else ModelFolder(place)
    if found.commit is not None:
        report.add(group, "note", f"{place} of the hub, at commit {found.commit}")
    return found.path


def _on_top(model: PreTrainedModel, earlier: Saved, saved: Saved, report: Report) -> Adapter:
    said = Report()
    first, _ = normalise(model, earlier, said)
    for entry in said.entries:
        report.add(f"earlier adapter, {entry.group}", entry.verdict, entry.text)
    lora = {PREFIX + name: tensor for name, tensor in saved.tensors.items() if ".lora_" in name}
    if not continues(first.tensors, lora):
        merge(model, first, report)
        return normalise(model, saved, report)[0]
    # What it holds of the base is the base before the merge.
    later, _ = normalise(model, saved, report)
    merge(model, first, report)
    return difference(first, later, report)


def _load(base: Path) -> PreTrainedModel:
    if not (base / "config.json").is_file():
        raise ModelLoadError(f"{base} has no config.json: name the folder of the base, downloaded or saved")
    try:
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            str(base), dtype="auto", use_safetensors=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelLoadError(f"{base} is not a causal language model we can read: {error}") from error
    model.requires_grad_(False).train(False)
    return model


def _write(
    model: PreTrainedModel,
    made: Adapter,
    base: Path,
    adapter: Path,
    out: Path,
    report: Report,
    *,
    changed: bool,
    holds_earlier: bool,
) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        # Beside its place, so that it moves there whole.
        building = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise ConfigError(f"{out} cannot be written: {error.strerror}") from error
    try:
        _write_base(model, base, adapter, building / BASE, report, changed=changed)
        if holds_earlier:
            (building / BASE / EARLIER_FILE).write_text("{}", encoding="utf-8")
        made.save(building / ADAPTER)
        if (adapter / RECIPE_FILE).is_file():
            shutil.copyfile(adapter / RECIPE_FILE, building / ADAPTER / RECIPE_FILE)
        report.base_digest = base_digest(building / BASE) or ""
        (building / REPORT_FILE).write_text(json.dumps(report.to_plain(), indent=1), encoding="utf-8")
        building.rename(out)
    except OSError as error:
        raise ConfigError(f"{out} cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _write_base(
    model: PreTrainedModel, base: Path, adapter: Path, folder: Path, report: Report, *, changed: bool
) -> None:
    folder.mkdir()
    for file in sorted(path for path in base.iterdir() if path.is_file()):
        if not (changed and (file.name == "config.json" or file.name.endswith(_WEIGHTS))):
            shutil.copyfile(file, folder / file.name)
    if not changed:
        report.add("base", "kept", "copied as it is")
    else:
        model.save_pretrained(folder)
        report.add("base", "base", "written anew, with a digest of its own")
    brought = [name for name in _TOKENIZER if (adapter / name).is_file()]
    if changed and brought:
        for name in brought:
            shutil.copyfile(adapter / name, folder / name)
        report.add("tokenizer", "kept", f"from the adapter's folder: {', '.join(brought)}")
    missing = [] if (folder / CATALOGUE_FILE).is_file() else [CATALOGUE_FILE]
    missing += [STYLE_FILE] if lacks_style(folder) else []
    if missing:
        report.add("base", "note", f"it has no {' and no '.join(missing)}: add before lethe init")
