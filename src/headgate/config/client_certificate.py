"""The certificate that headgate shows to an upstream, and how upstreams' own are verified."""

from __future__ import annotations

import ssl
import tempfile
from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from headgate.config.resource import Id
from headgate.config.strict_model import Maybe, StrictModel


class UpstreamTls(StrictModel):
    """TLS towards an upstream: a client certificate with its key, or the id of a stored one."""

    client_cert_id: Maybe[Id] = Field(default=None, description="Id of a stored client certificate.")
    client_cert: Maybe[Annotated[str, Field(min_length=128, max_length=65536)]] = Field(
        default=None, description="Client certificate, with its chain, in PEM."
    )
    client_key: Maybe[Annotated[str, Field(min_length=64, max_length=65536)]] = Field(
        default=None, description="The client certificate's private key, in PEM, not encrypted."
    )
    verify: bool = Field(default=True, description="Verify the upstream's certificate; false accepts any.")

    @model_validator(mode="after")
    def _check_pair(self) -> Self:
        if self.client_cert is not None and self.client_key is None:
            raise _dependent("client_cert", 'property "client_key" is required')
        if self.client_key is not None and self.client_cert is None:
            raise _dependent("client_key", 'property "client_cert" is required')
        if self.client_cert_id is not None and self.client_cert is not None:
            raise _dependent("client_cert_id", "value wasn't supposed to match schema")
        return self


def _dependent(key: str, text: str) -> PydanticCustomError:
    return PydanticCustomError(
        "key_rule", "{text}", {"text": f'failed to validate dependent schema for "{key}": {text}'}
    )


def load_client_certificate(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Have ``context`` show a certificate, given with its key as PEM.

    Raises ValueError with a text that says what is wrong and holds nothing of the key.
    """
    # Python's ssl reads certificates from files only; this one is readable by us alone and gone before we return.
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", prefix="headgate-") as file:
        file.write(f"{certificate}\n{key}\n")
        file.flush()
        try:
            context.load_cert_chain(file.name, password=_no_password)
        except (ssl.SSLError, ValueError) as error:
            raise ValueError(f"failed to load client_cert and client_key: {_reason(error)}") from None


def _no_password() -> str:
    """Answer in the place of the terminal, which OpenSSL would ask."""
    raise ValueError("the key is encrypted")


def _reason(error: ssl.SSLError | ValueError) -> str:
    if not isinstance(error, ssl.SSLError):
        return str(error)
    # OpenSSL names what is wrong with good PEM (KEY_VALUES_MISMATCH) and has no name for what is none.
    return error.reason.lower().replace("_", " ") if error.reason else "not a certificate and a key in PEM"
