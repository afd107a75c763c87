"""Adopts the operator's adapter: checks its base, whether it knows these users, and whether it can be re-fitted.

All checks that can refuse the adapter run before the trial fit, the cheapest first.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from recommender import Adapter, AdapterConfig, Base, Split, TrainingConfig, attach, fit_adapter
from recommender.legal_mass import LEAST, legal_mass
from recommender.likeness import Difference, Figures, Likeness, Measured, compare, gain, measure
from recommender.operators_adapter import adopted, origin, refittable
from recommender.recipes import RECIPE_FILE, read_recipe
from worker.first_fit.errors import FirstFitError
from worker.first_fit.listener import Listener

# Enough users to detect a difference of half a nat, few enough for a large base.
_MEASURED_USERS = 500
_CONFIRM = "if it is right all the same, add --confirm-adapter"


@dataclass(frozen=True)
class Adopted:
    """What a version needs from an operator's adapter. `likeness` is None if no trial fit was requested."""

    adapter: Adapter
    adapter_config: AdapterConfig
    training: TrainingConfig
    likeness: Likeness | None


def chosen_recipe(
    file: Path | None,
    folder: Path | None,
    listener: Listener,
    *,
    default: TrainingConfig,
    epochs: int | None,
    seed: int,
) -> TrainingConfig:
    """The recipe in `file`, else the one in the adapter's folder, else `default` with this seed. `epochs` overrides it.

    Raises:
        ConfigError: the recipe is not valid.
    """
    if file is None and folder is not None and (folder / RECIPE_FILE).is_file():
        file = folder / RECIPE_FILE
        listener.say(f"the recipe is {file}")
    training = replace(default, seed=seed) if file is None else read_recipe(file)
    return training if epochs is None else replace(training, epochs=epochs)


def adopt(
    base: Base,
    folder: Path,
    users: Sequence[Split],
    recipe: TrainingConfig,
    listener: Listener,
    *,
    confirmed: bool = False,
    trial_fit: bool = True,
) -> Adopted:
    """Read the adapter in `folder`, which was trained on `users`, check it, and compare it with one fit by its recipe.

    Reports what it finds. A fit that differs from the adapter is reported and returned; it is no error.

    Args:
        recipe: how the adapter was trained, as far as known; every re-fit will follow it.
        confirmed: whether the operator vouches for base and users; then their checks only report what they find.

    Raises:
        FirstFitError: the adapter is of another base or does not know these users. Not raised if `confirmed`.
        ModelLoadError, AdapterMismatch: the adapter cannot be read, does not fit the base, or cannot be re-fitted.
        DataError: there are no users.
    """
    adapter = adopted(base, Adapter.load(folder))
    config = refittable(base, adapter)
    _check_origin(base, adapter, listener, confirmed=confirmed)
    measured = _sample(users)

    def read(of: Adapter | None) -> Measured:
        return measure(base.model if of is None else attach(base, of), base.style, measured)

    bare, operators = read(None), read(adapter)
    _check_answers(base, adapter, measured, listener, confirmed=confirmed)
    _check_knows_users(bare, operators, listener, confirmed=confirmed)
    if not trial_fit:
        listener.say("no trial fit: whether a re-fit comes near your adapter is not known")
        return Adopted(adapter, config, recipe, None)
    with listener.steps("trial fit") as on_step:
        refit = fit_adapter(
            base,
            [user.train for user in users],
            config,
            recipe,
            validation=[(user.train, user.validation) for user in users],
            on_step=on_step,
        )
    likeness = compare(bare, operators, read(refit))
    listener.say("\n".join(_report(likeness)))
    return Adopted(adapter, config, recipe, likeness)


def _check_origin(base: Base, adapter: Adapter, listener: Listener, *, confirmed: bool) -> None:
    found, name = origin(base, adapter)
    if found == "other":
        problem = f"the adapter was trained on {name}, whose weights are not those of the base in LETHE_BASE"
        if not confirmed:
            raise FirstFitError(f"{problem}; {_CONFIRM}")
        listener.say(f"confirmed: {problem}")
    elif found == "unknown" and name:
        listener.say(
            f"the adapter names {name} as its base, which cannot be compared with {base.model.name_or_path}"
        )


def _check_answers(
    base: Base, adapter: Adapter, users: Sequence[Split], listener: Listener, *, confirmed: bool
) -> None:
    """Check that the model answers our prompt in the form in which it was trained to answer."""
    found = legal_mass(attach(base, adapter), base.style, [user.train for user in users])
    if found is None:
        return
    listener.say(f"legal mass {found.mean:.2f}: so much of its probability lies on the answers that exist")
    if found.mean >= LEAST:
        return
    instead = ", ".join(f"{base.style.decode([token])!r} {share:.2f}" for token, share in found.likeliest)
    problem = (
        f"the model answers our prompt with what is no answer (legal mass {found.mean:.2f}, expected {LEAST} or more): "
        f"is the prompt in style.json the one it was trained on? The likeliest tokens are {instead}"
    )
    if not confirmed:
        raise FirstFitError(f"{problem}; {_CONFIRM}")
    listener.say(f"confirmed: {problem}")


def _check_knows_users(bare: Measured, operators: Measured, listener: Listener, *, confirmed: bool) -> None:
    found: Difference = gain(bare, operators)
    if found.clear_gain:
        return
    problem = (
        "the adapter does not predict these users' training events better than the bare base:"
        f" {operators.figures().training_nll:.3f} nats per event with it, {bare.figures().training_nll:.3f} without"
        f" (difference {found.mean:+.3f}, standard error {found.error:.3f}, {len(bare.training_nll)} users);"
        " it is of another base or of other users"
    )
    if not confirmed:
        raise FirstFitError(f"{problem}; {_CONFIRM}")
    listener.say(f"confirmed: {problem}")


def _sample(users: Sequence[Split]) -> Sequence[Split]:
    if len(users) <= _MEASURED_USERS:
        return users
    return random.Random(0).sample(users, _MEASURED_USERS)


def _report(likeness: Likeness) -> list[str]:
    three = (likeness.base, likeness.operator, likeness.refit)

    def row(name: str, value: Callable[[Figures], float | None]) -> str:
        found = [value(figures) for figures in three]
        return f"{name:<24}" + "".join(f"{'-' if one is None else f'{one:.3f}':>14}" for one in found)

    lines = [
        f"{f'{likeness.users} users':<24}{'base':>14}{'your adapter':>14}{'a re-fit':>14}",
        row("nats per training event", lambda figures: figures.training_nll),
        row("nats per held-out event", lambda figures: figures.held_out_nll),
    ]
    if likeness.base.recall_at_10 is None:
        lines.append(row("held-out AUC", lambda figures: figures.auc))
    else:
        lines.append(row("held-out Recall@10", lambda figures: figures.recall_at_10))
        lines.append(row("held-out NDCG@10", lambda figures: figures.ndcg_at_10))
    if likeness.near:
        return [*lines, "a re-fit comes near your adapter"]
    return [
        *lines,
        f"a re-fit does NOT come near your adapter: {'; '.join(likeness.reasons)}",
        "the exact re-fit will serve users differently; pass the recipe of your training with --recipe",
    ]
