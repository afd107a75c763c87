"""The settings of what computes a gateway's rankings. They are part of `app.settings.Settings`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings

_UpToAnHour = Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)]


class EngineSettings(BaseSettings):
    """In this process, or in a vLLM server of its own.

    Raises:
        pydantic.ValidationError: `vllm` without its address, its model or the folder for adapters.
    """

    engine: Literal["transformers", "vllm"] = Field(
        "transformers",
        description="what computes recommendations: transformers, in the gateway's process, or a vllm server",
    )
    vllm_url: str = Field(
        "",
        description="where the vLLM server of this gateway listens, like http://127.0.0.1:8001; nobody else's",
    )
    vllm_model: str = Field("", description="the name under which it serves the base (--served-model-name)")
    vllm_adapters: Path | None = Field(
        None, description="folder to which the gateway writes adapters for it; no other gateway's"
    )
    vllm_adapters_seen_as: str = Field(
        "", description="the path of that folder on the vLLM server's machine, where it is another"
    )
    vllm_places: int = Field(
        4, ge=2, le=256, description="how many adapters it keeps: its --max-cpu-loras, never a lower number"
    )
    vllm_api_key: SecretStr | None = Field(None, description="its --api-key, if it has one")
    vllm_timeout_seconds: _UpToAnHour = Field(
        5.0, description="a vLLM server that has not answered for this long has lost its version"
    )
    vllm_check_seconds: _UpToAnHour = Field(
        10.0, description="how often it is asked whether it still computes what its version does"
    )
    vllm_tolerance: float | None = Field(
        None,
        gt=0,
        le=1,
        allow_inf_nan=False,
        description="how far its canary values may be off, in nats; by default 0.001, and 0.25 in half precision",
    )

    @field_validator("vllm_api_key", "vllm_adapters", "vllm_tolerance", mode="before")
    @classmethod
    def _take_blank_for_none(cls, value: object) -> object:
        return None if isinstance(value, str) and not value.strip() else value

    @field_validator("vllm_url")
    @classmethod
    def _refuse_what_is_no_address(cls, url: str) -> str:
        if not url:
            return url
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError as error:
            raise ValueError("its port is not a number, or its host cannot be read") from error
        if not usable or parts.username or parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError("must be http://HOST:PORT or https://HOST:PORT, without a path")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _refuse_half_a_server(self) -> Self:
        if self.engine == "vllm":
            for name in ("vllm_url", "vllm_model", "vllm_adapters"):
                if not getattr(self, name):
                    raise ValueError(f"LETHE_ENGINE=vllm needs LETHE_{name.upper()}")
        return self
