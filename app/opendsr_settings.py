"""The settings of the OpenDSR routes. They are part of `app.settings.Settings`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings

IdentityType = Literal[
    "controller_customer_id",
    "android_advertising_id",
    "android_id",
    "email",
    "fire_advertising_id",
    "ios_advertising_id",
    "ios_vendor_id",
    "microsoft_advertising_id",
    "microsoft_publisher_id",
    "roku_publisher_id",
    "roku_advertising_id",
]


class OpenDsrSettings(BaseSettings):
    """The certificate that signs, and which identity of a person is the user's id.

    Raises:
        pydantic.ValidationError: the certificate or its key is named alone.
    """

    opendsr_certificate: Path | None = Field(
        None,
        description="file with the X.509 certificate of OpenDSR answers, PEM; without it, OpenDSR is off",
    )
    opendsr_key: Path | None = Field(
        None, description="file with the private key of that certificate, PEM, RSA or elliptic curve"
    )
    opendsr_identity: IdentityType = Field(
        "controller_customer_id", description="the type of OpenDSR identities that are ids of users here"
    )

    @field_validator("opendsr_certificate", "opendsr_key", mode="before")
    @classmethod
    def _take_a_blank_file_for_none(cls, file: object) -> object:
        return None if isinstance(file, str) and not file.strip() else file

    @model_validator(mode="after")
    def _refuse_half_a_certificate(self) -> Self:
        if (self.opendsr_certificate is None) != (self.opendsr_key is None):
            raise ValueError("LETHE_OPENDSR_CERTIFICATE and LETHE_OPENDSR_KEY are set together")
        return self
