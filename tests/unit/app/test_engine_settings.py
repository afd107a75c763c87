"""What computes a gateway's rankings: half a server is refused, and so is an address that is none."""

import pytest
from pydantic import ValidationError

from app.settings import Settings

SERVER = {"vllm_url": "http://127.0.0.1:8001", "vllm_model": "the-base", "vllm_adapters": "adapters"}


def settings(**values: object) -> Settings:
    return Settings(_env_file=None, environment="development", **values)  # type: ignore[call-arg, arg-type]


def test_this_process_computes_unless_a_server_is_named() -> None:
    assert settings().engine == "transformers"
    assert settings(engine="vllm", **SERVER).vllm_places == 4
    for name in SERVER:
        with pytest.raises(ValidationError, match=f"needs LETHE_{name.upper()}"):
            settings(engine="vllm", **{**SERVER, name: ""})


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8001", "ftp://host", "http://", "http://host:0", "http://host:x", "http://host/v1", "http://a:b@host"]
)  # fmt: skip
def test_what_is_no_address_of_a_server_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match="vllm_url"):
        settings(vllm_url=url)


def test_a_slash_at_the_end_is_dropped_and_blank_values_are_none() -> None:
    found = settings(vllm_url="http://host:8001/", vllm_api_key=" ", vllm_tolerance="")
    assert (found.vllm_url, found.vllm_api_key, found.vllm_tolerance) == ("http://host:8001", None, None)
    with pytest.raises(ValidationError, match="vllm_places"):
        settings(vllm_places=1)
