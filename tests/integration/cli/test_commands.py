"""The command line: what works, and one line and exit code 2 for what cannot."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import pytest
from sqlalchemy import select

from app.db.models import AuditEntry
from app.db.session import Database, open_database
from recommender import (
    AdapterConfig,
    BaseConfig,
    Catalogue,
    TrainingConfig,
    build_base,
    fit_adapter,
    load_base,
    save_base,
)
from tests.integration.cli.running import assert_one_line, lethe
from tests.integration.tiny_model import ITEMS, SECRET
from tests.ports import free_port


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder of interactions over the tiny base model's catalogue."""
    folder = tmp_path / "data"
    folder.mkdir()
    rows = [f"user-{user},i{(user + step) % ITEMS},{step}" for user in range(30) for step in range(8)]
    (folder / "interactions.csv").write_text("user_id,item_id,timestamp\n" + "\n".join(rows) + "\n")
    titles = [f"i{item},Title {item}" for item in range(ITEMS)]
    (folder / "items.csv").write_text("item_id,title\n" + "\n".join(titles) + "\n")
    return folder


def test_set_up_with_the_operators_own_base_and_adapter(
    environment: dict[str, str], data: Path, base_folder: Path, tmp_path: Path
) -> None:
    from model_store import open_store

    base = load_base(str(base_folder))
    shape = AdapterConfig(
        r=2, alpha=4.5, target_modules=("lm_head", "q_proj"), dropout=0.0, options={"use_rslora": True}
    )
    recipe = TrainingConfig(epochs=2, lr=1e-2, schedule="cosine", warmup_ratio=0.1, patience=None)
    users = [[(user + step) % ITEMS for step in range(6)] for user in range(30)]
    fit_adapter(base, users, shape, recipe).save(tmp_path / "adapter")
    (tmp_path / "recipe.json").write_text(json.dumps(recipe.to_plain()))
    assert lethe("migrate", **environment).returncode == 0
    options = ["--adapter", str(tmp_path / "adapter"), "--recipe", str(tmp_path / "recipe.json")]
    done = lethe("init", "--data", str(data), *options, **environment)
    assert done.returncode == 0, done.stderr
    assert "30 users, 240 interactions (240 of them new)" in done.stdout
    # The same recipe on the same users: the trial fit is the operator's adapter again.
    assert "a re-fit comes near your adapter" in done.stdout
    assert "is live as generation 1" in done.stdout
    assert done.stdout.endswith("the users' levels are made\n")
    store = open_store(str(tmp_path / "store"))
    manifest = store.read_manifest(store.versions()[0])
    assert manifest.trained_on["adapter_config"] == shape.to_plain()
    assert manifest.trained_on["training"] == recipe.to_plain()
    assert manifest.report["likeness"]["near"] is True
    again = lethe("init", "--data", str(data), **environment)
    assert again.returncode == 0, again.stderr
    assert again.stdout.splitlines() == [
        "a version is live already",
        "note: --data was not read; later events come in through POST /interactions",
        "the users' levels are there already",
    ]
    assert lethe("audit", "verify", **environment).stdout == "the audit chain holds\n"


def test_an_adapter_that_does_not_know_the_users_is_refused_or_confirmed(
    environment: dict[str, str], data: Path, base_folder: Path, tmp_path: Path
) -> None:
    base = load_base(str(base_folder))
    backwards = [[(user - step) % ITEMS for step in range(8)] for user in range(30)]
    training = TrainingConfig(epochs=20, lr=1e-2, patience=None)
    fit_adapter(base, backwards, AdapterConfig(r=4, alpha=8), training).save(tmp_path / "adapter")
    lethe("migrate", **environment)
    init = ["init", "--no-levels", "--data", str(data), "--adapter", str(tmp_path / "adapter")]
    assert_one_line(lethe(*init, **environment), "nats per event with it", "--confirm-adapter")
    done = lethe(*init, "--confirm-adapter", "--no-trial-fit", **environment)
    assert done.returncode == 0, done.stderr
    assert "confirmed: the adapter does not predict" in done.stdout
    assert "no trial fit" in done.stdout


def test_a_version_below_the_floor_of_the_store_is_fitted_anew(
    environment: dict[str, str], data: Path, tmp_path: Path
) -> None:
    """As if somebody had edited both rows back."""
    from model_store import Floor, open_store

    lethe("migrate", **environment)
    init = ["init", "--no-levels", "--data", str(data), "--epochs", "1"]
    assert "is live as generation 1" in lethe(*init, **environment).stdout
    store = open_store(str(tmp_path / "store"))
    (first,) = store.versions()
    store.raise_floor(Floor(1, "2026-01-01T00:00:00+00:00"))
    found = lethe("audit", "verify", **environment)
    assert found.returncode == 1
    assert "the erasure floor of the database is 0, that of the store 1" in found.stdout
    assert found.stdout.endswith("the audit chain holds, but not all that it has to agree with\n")
    # Taken out of service is a generation too.
    done = lethe(*init, **environment)
    assert "is live as generation 3" in done.stdout, done.stdout + done.stderr
    (second,) = set(store.versions()) - {first}
    assert store.read_manifest(second).forget_epoch >= 1
    assert lethe("audit", "verify", **environment).returncode == 0


def test_levels_are_left_to_later_and_made_once(environment: dict[str, str], data: Path) -> None:
    lethe("migrate", **environment)
    assert_one_line(lethe("levels", **environment), "lethe init")
    done = lethe("init", "--no-levels", "--data", str(data), "--epochs", "1", **environment)
    assert done.stdout.endswith("is live as generation 1\n")
    made = lethe("levels", **environment)
    assert (made.returncode, made.stdout) == (0, "the users' levels are made\n")
    assert "levels: " in made.stderr
    again = lethe("levels", **environment)
    assert (again.returncode, again.stdout) == (0, "the users' levels are there already\n")


def test_too_few_users_for_levels_is_no_reason_not_to_serve(
    environment: dict[str, str], data: Path, tmp_path: Path
) -> None:
    rows = [f"user-{user},i{step},{step}" for user in range(3) for step in range(8)]
    (data / "interactions.csv").write_text("user_id,item_id,timestamp\n" + "\n".join(rows) + "\n")
    environment["LETHE_BASE"] = str(tmp_path / "own-base")
    lethe("migrate", **environment)
    done = lethe("init", "--data", str(data), "--epochs", "1", **environment)
    assert done.returncode == 0, done.stderr
    assert "no levels: cross-fitting needs four users" in done.stdout
    assert lethe("levels", **environment).returncode == 1


def test_keys_are_issued_listed_and_revoked(environment: dict[str, str]) -> None:
    lethe("migrate", **environment)
    issued = lethe("keys", "issue", "shop", "--scope", "recommend:read", "--days", "30", **environment)
    key = issued.stdout.strip()
    assert key.startswith("lethe_")
    listed = lethe("keys", "list", **environment).stdout
    assert "shop\trecommend:read\tuntil " in listed
    assert key not in listed
    assert_one_line(lethe("keys", "issue", "shop", "--scope", "all", **environment), "already")
    assert_one_line(
        lethe("keys", "issue", "x", "--scope", "everything", **environment), "unknown scope everything"
    )
    assert lethe("keys", "revoke", "shop", **environment).returncode == 0
    assert "revoked" in lethe("keys", "list", **environment).stdout
    assert_one_line(lethe("keys", "revoke", "shop", **environment), "no active key")


def test_keys_of_a_role_expire_and_are_rotated(environment: dict[str, str]) -> None:
    lethe("migrate", **environment)
    issued = lethe("keys", "issue", "crm", "--role", "service", **environment)
    assert issued.stderr.startswith("valid until ")
    assert_one_line(lethe("keys", "rotate", "crm", "--overlap", "soon", **environment), "--overlap")
    rotated = lethe("keys", "rotate", "crm", "--overlap", "2h", "--until-revoked", **environment)
    assert rotated.stdout.startswith("lethe_")
    assert rotated.stdout != issued.stdout
    first, second = lethe("keys", "list", **environment).stdout.splitlines()
    assert first.split("\t")[1] == second.split("\t")[1]
    assert "forget:cancel" in first
    assert first.split("\t")[2].startswith("until 2")
    assert second.startswith("crm (rotation 1)\t")
    assert second.endswith("until revoked")
    assert_one_line(lethe("keys", "issue", "crm", "--role", "viewer", **environment), "lethe keys rotate crm")
    assert_one_line(lethe("keys", "issue", "x", **environment), "--role", "approver")
    assert_one_line(lethe("keys", "issue", "x", "--role", "root", **environment), "unknown role root")
    both = lethe("keys", "issue", "x", "--role", "viewer", "--days", "3", "--until-revoked", **environment)
    assert_one_line(both, "contradict")
    assert lethe("keys", "revoke", "crm", **environment).returncode == 0
    assert lethe("keys", "list", **environment).stdout.count("revoked 2") == 2
    assert_one_line(lethe("keys", "rotate", "crm", **environment), "no valid key")
    # each of these is in the audit log, and what was refused is not.
    with Database(open_database(environment["LETHE_DATABASE_URL"])).read() as session:
        entries = session.scalars(select(AuditEntry).order_by(AuditEntry.sequence)).all()
    assert [entry.action for entry in entries] == ["key.issued", "key.rotated", "key.revoked"]
    assert {(entry.actor, entry.data["name"]) for entry in entries} == {("lethe keys", "crm")}
    assert not any(issued.stdout.strip() in str(entry.data) for entry in entries)


@pytest.mark.parametrize("command", ["gateway", "worker", "migrate", "init"])
def test_no_process_starts_on_placeholder_secrets(command: str, environment: dict[str, str]) -> None:
    del environment["LETHE_SUBJECT_KEY"]
    assert_one_line(lethe(command, **environment), "LETHE_SUBJECT_KEY", "openssl rand -hex 32")


@pytest.mark.parametrize("command", ["gateway", "worker", "init"])
def test_no_process_starts_on_an_old_schema(command: str, environment: dict[str, str]) -> None:
    assert_one_line(lethe(command, **environment, LETHE_PORT=str(free_port())), "lethe migrate")


@pytest.mark.parametrize("command", ["gateway", "worker", "migrate", "init"])
def test_a_database_that_is_down_is_named(command: str, environment: dict[str, str]) -> None:
    environment["LETHE_DATABASE_URL"] = f"postgresql://nobody@127.0.0.1:{free_port()}/none"
    assert_one_line(lethe(command, **environment, LETHE_PORT=str(free_port())), "LETHE_DATABASE_URL")


def test_a_port_in_use_is_named(environment: dict[str, str]) -> None:
    lethe("migrate", **environment)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert_one_line(lethe("gateway", **environment, LETHE_PORT=port), port, "choose another port")
        assert_one_line(lethe("up", "--port", port), port, "choose another port")


def test_a_missing_column_is_named(environment: dict[str, str], data: Path) -> None:
    lethe("migrate", **environment)
    (data / "interactions.csv").write_text("user,item_id,timestamp\n1,i1,1\n")
    assert_one_line(lethe("init", "--data", str(data), **environment), "user_id", "interactions.csv")


def test_a_folder_that_is_not_there_is_named(environment: dict[str, str], tmp_path: Path) -> None:
    lethe("migrate", **environment)
    assert_one_line(lethe("init", "--data", str(tmp_path / "nowhere"), **environment), "nowhere")


def test_items_of_another_catalogue_are_refused(environment: dict[str, str], data: Path) -> None:
    lethe("migrate", **environment)
    for name in ("interactions.csv", "items.csv"):
        header, _, rows = (data / name).read_text().partition("\n")
        renamed = re.sub(r"\bi(\d)", r"other\1", rows)
        (data / name).write_text(f"{header}\n{renamed}")
    assert_one_line(lethe("init", "--data", str(data), **environment), "catalogue.json")


def test_an_adapter_for_another_base_is_refused_and_nothing_goes_live(
    environment: dict[str, str], data: Path, tmp_path: Path
) -> None:
    catalogue = Catalogue(
        tuple(f"i{item}" for item in range(ITEMS)), tuple(f"T{item}" for item in range(ITEMS))
    )
    config = BaseConfig(layers=1, width=32, heads=2, feed_forward=64, window=16)
    model = build_base(catalogue, [list(range(8))], config, TrainingConfig(epochs=1))
    save_base(model, catalogue, config.style(catalogue), tmp_path / "other-base")
    other = load_base(str(tmp_path / "other-base"))
    foreign = fit_adapter(other, [list(range(8))], AdapterConfig(r=2, alpha=4), TrainingConfig(epochs=1))
    foreign.save(tmp_path / "adapter")
    lethe("migrate", **environment)
    adapter = ["--adapter", str(tmp_path / "adapter")]
    assert_one_line(lethe("init", "--data", str(data), *adapter, **environment), "shape")
    assert not list((tmp_path / "store" / "manifests").rglob("*.json"))


def test_a_pickled_adapter_is_refused_by_name(
    environment: dict[str, str], data: Path, tmp_path: Path, base_folder: Path
) -> None:
    folder = tmp_path / "adapter"
    base = load_base(str(base_folder))
    fit_adapter(base, [list(range(8))], AdapterConfig(r=2, alpha=4), TrainingConfig(epochs=1)).save(folder)
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    lethe("migrate", **environment)
    assert_one_line(
        lethe("init", "--data", str(data), "--adapter", str(folder), **environment),
        "adapter_model.safetensors",
    )


def test_a_policy_that_does_not_parse_is_refused(environment: dict[str, str], tmp_path: Path) -> None:
    from app.settings import Settings
    from unlearning import UnlearningError
    from worker.process import open_process

    lethe("migrate", **environment)
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({"schema": "something else"}))
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        policy_file=policy,
        **{name.removeprefix("LETHE_").lower(): value for name, value in environment.items()},  # type: ignore[arg-type]
    )
    with pytest.raises(UnlearningError, match="policy"):
        open_process(settings)


def test_a_store_that_cannot_be_written_is_named(
    environment: dict[str, str], data: Path, tmp_path: Path
) -> None:
    lethe("migrate", **environment)
    (tmp_path / "store").write_text("a file where the folder should be")
    done = lethe("init", "--data", str(data), **environment)
    assert_one_line(done, "store")


def test_a_gateway_without_its_base_model_says_so(environment: dict[str, str], tmp_path: Path) -> None:
    lethe("migrate", **environment)
    environment["LETHE_BASE"] = str(tmp_path / "no-base")
    assert_one_line(lethe("gateway", **environment, LETHE_PORT=str(free_port())), "no-base")


def test_a_restored_database_whose_version_was_destroyed_is_fitted_again(
    environment: dict[str, str], data: Path, tmp_path: Path
) -> None:
    from model_store import open_store

    lethe("migrate", **environment)
    init = ["init", "--data", str(data), "--epochs", "1"]
    assert lethe(*init, **environment).returncode == 0
    store = open_store(str(tmp_path / "store"))
    store.destroy(store.versions()[0])
    again = lethe(*init, **environment)
    assert "is live as generation 2" in again.stdout, again.stderr
    assert "0 of them new" in again.stdout


def test_another_subject_key_is_refused(environment: dict[str, str], data: Path) -> None:
    lethe("migrate", **environment)
    assert lethe("init", "--data", str(data), "--epochs", "1", **environment).returncode == 0
    environment["LETHE_SUBJECT_KEY"] = SECRET[::-1]
    assert_one_line(lethe("gateway", **environment, LETHE_PORT=str(free_port())), "LETHE_SUBJECT_KEY")


def test_help_lists_every_command() -> None:
    text = lethe("--help").stdout
    commands = (
        "up",
        "init",
        "levels",
        "migrate",
        "gateway",
        "worker",
        "consolidate",
        "keys",
        "audit",
        "bench",
        "doctor",
        "status",
        "forget",
        "recommend",
    )
    for command in commands:
        assert command in text
