"""Dockerfile, compose file and example settings, as far as they can be checked without an engine."""

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic_core import PydanticUndefined

from app.settings import Settings
from tests.unit.test_import_walls import ROOMS

REPOSITORY = Path(__file__).parents[2]
TARGETS = {"gateway", "worker", "migrate"}
OURS = {"migrate", "init", "gateway", "worker", "worker-gpu"}
OTHERS = {"db", "redis", "s3", "proxy"}
SECRETS = {
    "LETHE_POSTGRES_PASSWORD",
    "LETHE_REDIS_PASSWORD",
    "LETHE_SUBJECT_KEY",
    "LETHE_AUDIT_KEY",
    "LETHE_SIGNING_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
}
# Without it, what it keys is off.
OPTIONAL_SECRETS = {"LETHE_WEBHOOK_KEY"}


def read(name: str) -> str:
    return (REPOSITORY / name).read_text()


def stages() -> dict[str, list[tuple[str, str]]]:
    """Stage name -> its instructions, continuation lines joined; "FROM" holds what it is built from."""
    found: dict[str, list[tuple[str, str]]] = {}
    current: list[tuple[str, str]] = []
    text = re.sub(r"^\s*#.*\n", "", read("Dockerfile"), flags=re.MULTILINE).replace("\\\n", " ")
    for line in filter(None, map(str.strip, text.splitlines())):
        keyword, _, rest = line.partition(" ")
        if keyword == "FROM":
            source, _, name = rest.partition(" AS ")
            assert name, f"a stage without a name: {line}"
            current = found[name] = [("FROM", source)]
        else:
            current.append((keyword, rest.strip()))
    return found


def lineage(stage: str) -> list[tuple[str, str]]:
    """The instructions of a stage and of those it is built from, the oldest first."""
    instructions = stages()[stage]
    source = instructions[0][1]
    return (lineage(source) if source in stages() else []) + instructions


def last(stage: str, keyword: str) -> str:
    return [rest for word, rest in lineage(stage) if word == keyword][-1]


def compose() -> dict[str, Any]:
    loaded = yaml.safe_load(read("docker-compose.yml"))
    assert isinstance(loaded, dict)
    return loaded


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose()["services"]
    return found


def lethe_commands() -> set[str]:
    """Every ``lethe X`` that a Dockerfile, compose file or Makefile runs."""
    texts = [read(name) for name in ("Dockerfile", "docker-compose.yml", "Makefile")]
    in_lists = (item for text in texts for item in re.findall(r'\["lethe", "([a-z-]+)"', text))
    in_shell = (item for text in texts for item in re.findall(r"\$\(BIN\)/lethe ([a-z-]+)", text))
    return {*in_lists, *in_shell}


def test_there_is_a_stage_for_each_target() -> None:
    assert set(stages()) >= TARGETS


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_an_image_runs_as_an_ordinary_user_with_a_command(target: str) -> None:
    assert last(target, "USER") == "lethe"
    assert "useradd --uid 10001" in " ".join(rest for _, rest in lineage(target))
    assert last(target, "CMD").startswith('["lethe", ')
    # Nothing after USER may need root.
    after = [word for word, _ in stages()[target]]
    assert "RUN" not in after[after.index("USER") :]


@pytest.mark.parametrize("target", ["gateway", "worker"])
def test_an_image_that_stays_up_says_whether_it_is_well(target: str) -> None:
    assert "CMD" in last(target, "HEALTHCHECK")


def test_the_gateway_is_asked_at_a_route_that_it_has() -> None:
    assert "/healthz" in last("gateway", "HEALTHCHECK")
    assert "/healthz" in " ".join(services()["gateway"]["healthcheck"]["test"])
    assert '"/healthz"' in read("app/health/endpoints.py")


def test_images_are_pinned_to_a_patch_release() -> None:
    bases = [stage[0][1] for stage in stages().values() if stage[0][1] not in stages()]
    images = [service["image"] for service in services().values() if "image" in service]
    assert len(images) == 4
    for image in [*bases, *images]:
        # MinIO numbers its releases by their moment.
        assert re.fullmatch(r"[a-z/]+:(\d+\.\d+(\.\d+)?-[a-z-]+|RELEASE\.[0-9TZ-]+)", image), image
    assert bases[0].startswith("python:3.11.")


def test_everything_copied_exists_and_reaches_the_build() -> None:
    ignored = [line for line in read(".dockerignore").splitlines() if line and not line.startswith("#")]
    assert ignored[0] == "*"
    admitted = {line[1:] for line in ignored if line.startswith("!")}
    copied = {
        source
        for instructions in stages().values()
        for keyword, rest in instructions
        if keyword == "COPY" and "--from=" not in rest
        for source in rest.split()[:-1]
    }
    assert copied
    assert {source for source in copied if not (REPOSITORY / source).exists()} == set()
    assert copied == admitted


def test_stages_copy_only_from_stages() -> None:
    sources = {
        match for rest in read("Dockerfile").splitlines() for match in re.findall(r"--from=(\S+)", rest)
    }
    assert sources
    assert sources <= set(stages())


def test_all_code_is_in_the_images() -> None:
    packages = tomllib.loads(read("pyproject.toml"))["tool"]["setuptools"]["packages"]["find"]["include"]
    copied = {rest.split()[0] for keyword, rest in stages()["application"] if keyword == "COPY"}
    assert {name.removesuffix("*") for name in packages} <= copied


def test_no_secret_is_built_in() -> None:
    for keyword, rest in (item for instructions in stages().values() for item in instructions):
        if keyword in ("ENV", "ARG"):
            assert not re.search(r"KEY|SECRET|PASSWORD|TOKEN", rest, re.IGNORECASE), rest


def test_every_secret_is_asked_for_and_has_no_default() -> None:
    text = read("docker-compose.yml")
    used = set(re.findall(r"\$\{([A-Z_]*(?:KEY|SECRET|PASSWORD|TOKEN)[A-Z_]*)", text))
    assert used == SECRETS | OPTIONAL_SECRETS
    for name in OPTIONAL_SECRETS:
        assert set(re.findall(rf"\$\{{{name}(.*?)\}}", text)) == {":-"}, f"{name} has a default"
    for name in SECRETS:
        assert set(re.findall(rf"\$\{{{name}(.)", text)) == {":"}
        assert set(re.findall(rf"\$\{{{name}:(.)", text)) == {"?"}, f"{name} has a default"


def test_the_example_settings_name_every_secret_and_set_none() -> None:
    assigned = dict(re.findall(r"^([A-Z_]+)=(.*)$", read(".env.example"), re.MULTILINE))
    secrets = SECRETS | OPTIONAL_SECRETS
    assert set(assigned) >= secrets
    assert {name: assigned[name] for name in secrets} == dict.fromkeys(secrets, "")


def test_settings_that_are_named_exist() -> None:
    known = {f"LETHE_{name.upper()}" for name in Settings.model_fields}
    outside = {"LETHE_POSTGRES_PASSWORD", "LETHE_REDIS_PASSWORD", "LETHE_PUBLISH"}
    for name in ("Dockerfile", "docker-compose.yml", ".env.example"):
        assert set(re.findall(r"LETHE_[A-Z0-9_]+", read(name))) - outside <= known, name


def test_the_example_shows_the_defaults_as_they_are() -> None:
    shown = dict(re.findall(r"^#(LETHE_[A-Z_]+)=(.*)$", read(".env.example"), re.MULTILINE))
    shown.pop("LETHE_PUBLISH")
    fields = {f"LETHE_{name.upper()}": field.default for name, field in Settings.model_fields.items()}
    assert PydanticUndefined not in {fields[name] for name in shown}
    assert shown == {name: str(fields[name]) for name in shown}


def test_the_services_are_those_of_the_design() -> None:
    assert set(services()) == OTHERS | OURS
    for name in OURS:
        target = "worker" if name in ("init", "worker-gpu") else name
        assert services()[name]["build"]["target"] == target
    profiles = {name: service["profiles"] for name, service in services().items() if "profiles" in service}
    assert profiles == {"init": ["init"], "worker": ["cpu"], "worker-gpu": ["gpu"]}
    # Whoever copies the example has a worker.
    assert re.search(r"^COMPOSE_PROFILES=cpu$", read(".env.example"), re.MULTILINE)


def test_the_worker_of_each_profile_edits_where_it_says() -> None:
    devices = {
        name: services()[name]["environment"]["LETHE_WORKER_DEVICE"] for name in ("worker", "worker-gpu")
    }
    assert devices == {"worker": "cpu", "worker-gpu": "cuda"}
    (reserved,) = services()["worker-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert (reserved["driver"], reserved["capabilities"]) == ("nvidia", ["gpu"])


def test_two_gateways_stand_behind_a_proxy_that_asks_whether_they_are_ready() -> None:
    assert services()["gateway"]["deploy"]["replicas"] == 2
    (mount,) = services()["proxy"]["volumes"]
    source = mount.split(":")[0]
    proxy = read(source.removeprefix("./"))
    assert "option httpchk GET /readyz" in proxy
    assert re.search(r"server-template gateway 2 gateway:8000$", proxy, re.MULTILINE)
    assert re.search(r"^\s+bind :8000$", proxy, re.MULTILINE)
    assert '"/readyz"' in read("app/health/endpoints.py")
    # What has reached a gateway is not sent to a second one.
    assert re.findall(r"^\s+retry-on (.*)$", proxy, re.MULTILINE) == ["conn-failure"]


@pytest.mark.parametrize("name", ["db", "redis", "s3", "proxy", "gateway", "worker", "worker-gpu"])
def test_a_service_that_stays_up_has_a_health_check_and_comes_back(name: str) -> None:
    check = services()[name]["healthcheck"]
    assert {"test", "interval", "timeout", "retries"} <= set(check)
    assert services()[name]["restart"] == "unless-stopped"


def test_services_wait_for_what_they_need() -> None:
    def condition(name: str, needed: str) -> str:
        found = services()[name]["depends_on"][needed]["condition"]
        assert isinstance(found, str)
        return found

    assert condition("migrate", "db") == "service_healthy"
    for name in ("gateway", "worker", "worker-gpu"):
        assert condition(name, "migrate") == "service_completed_successfully"
        assert condition(name, "redis") == condition(name, "s3") == "service_healthy"
    assert condition("proxy", "gateway") == condition("init", "s3") == "service_healthy"
    assert condition("init", "migrate") == "service_completed_successfully"


def test_redis_neither_evicts_nor_forgets() -> None:
    command = shlex.join(services()["redis"]["command"])
    assert "--maxmemory-policy noeviction" in command
    assert "--appendonly yes" in command
    assert "--requirepass" in command


def test_everything_that_must_last_is_on_a_named_volume() -> None:
    volumes = {name: service.get("volumes", []) for name, service in services().items()}
    for name in ("gateway", "worker", "worker-gpu", "init"):
        assert volumes[name] == ["models:/var/lib/lethe"]
    used = {entry.split(":")[0] for entries in volumes.values() for entry in entries}
    assert {name for name in used if not name.startswith("./")} == set(compose()["volumes"])
    for name in ("gateway", "worker"):
        assert services()[name]["environment"]["LETHE_BASE"].startswith("/var/lib/lethe/")


def test_the_store_is_a_bucket_that_is_there_before_anybody_asks_for_it() -> None:
    for name in OURS - {"migrate"}:
        settings = services()[name]["environment"]
        assert settings["LETHE_STORE_URL"] == "${LETHE_STORE_URL:-s3://lethe/store}"
        assert settings["AWS_ENDPOINT_URL"] == "${AWS_ENDPOINT_URL:-http://s3:9000}"
    assert services()["s3"]["command"] == ["mkdir -p /data/lethe && exec minio server /data"]
    assert "s3" in tomllib.loads(read("pyproject.toml"))["project"]["optional-dependencies"]
    assert ".[gateway,worker,s3]" in read("Dockerfile")


def test_the_service_is_published_to_this_machine_only_unless_asked() -> None:
    assert services()["proxy"]["ports"] == ["${LETHE_PUBLISH:-127.0.0.1:8000}:8000"]
    assert not any("ports" in service for name, service in services().items() if name != "proxy")


def test_our_services_have_no_privileges() -> None:
    for name in OURS:
        assert services()[name]["cap_drop"] == ["ALL"]
        assert services()[name]["security_opt"] == ["no-new-privileges:true"]


def test_every_command_that_is_run_exists() -> None:
    assert lethe_commands() >= {"gateway", "worker", "migrate", "init", "up"}
    for command in lethe_commands():
        done = subprocess.run(
            [sys.executable, "-m", "cli.main", command, "--help"],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"lethe {command}: {done.stderr[-500:]}"


def test_migrating_needs_only_what_its_image_has(tmp_path: Path) -> None:
    """The migrate image has no model libraries, no web framework, and a part of the code."""
    copied = {rest.split()[0] for keyword, rest in stages()["migration"] if keyword == "COPY"}
    absent = ({*ROOMS} - copied) | {
        "celery", "fastapi", "httpx", "huggingface_hub", "jinja2", "kombu", "numpy", "peft", "prometheus_client",
        "redis", "safetensors", "starlette", "torch", "transformers", "uvicorn",
    }  # fmt: skip
    installed = next(rest for keyword, rest in stages()["migration"] if "pip install --constraint" in rest)
    assert not any(re.search(rf"\b{name}\b", installed) for name in absent)
    code = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {absent}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
sys.argv = ["lethe", "migrate"]
import cli.main
cli.main.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        env={
            "PATH": "/usr/bin:/bin",
            "LETHE_ENVIRONMENT": "development",
            "LETHE_DATABASE_URL": f"sqlite:///{tmp_path}/lethe.sqlite3",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-1000:]
    assert (tmp_path / "lethe.sqlite3").stat().st_size > 0
