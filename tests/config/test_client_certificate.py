from __future__ import annotations

import ssl
import tempfile
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tests.config.client_pem import CERTIFICATE, ENCRYPTED_KEY, KEY, KEY_OF_ANOTHER

from headgate.config.client_certificate import UpstreamTls, load_client_certificate


def load(certificate: str, key: str) -> None:
    load_client_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), certificate, key)


def test_a_good_pair_is_shown_to_a_server(tmp_path: Path) -> None:
    (tmp_path / "both.pem").write_text(CERTIFICATE + KEY)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "both.pem")
    server.load_verify_locations(cadata=CERTIFICATE)
    server.verify_mode = ssl.CERT_REQUIRED
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    load_client_certificate(client, CERTIFICATE, KEY)
    assert shown_certificate(server, client) == ssl.PEM_cert_to_DER_cert(CERTIFICATE)


def shown_certificate(server: ssl.SSLContext, client: ssl.SSLContext) -> bytes | None:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    served = server.wrap_bio(to_server, to_client, server_side=True)
    asking = client.wrap_bio(to_client, to_server)
    for side in (asking, served, asking, served):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return served.getpeercert(binary_form=True)


@pytest.mark.parametrize(
    ("certificate", "key", "reason"),
    [
        (CERTIFICATE, KEY_OF_ANOTHER, "key values mismatch"),
        (CERTIFICATE, ENCRYPTED_KEY, "the key is encrypted"),
        (CERTIFICATE, "no key " * 10, "not a certificate and a key in PEM"),
        ("no certificate " * 10, KEY, "not a certificate and a key in PEM"),
        (CERTIFICATE.replace("M", "!"), KEY, "not a certificate and a key in PEM"),
    ],
)
def test_a_bad_pair_has_a_reason(certificate: str, key: str, reason: str) -> None:
    with pytest.raises(ValueError, match="failed to load client_cert and client_key: ") as caught:
        load(certificate, key)
    assert str(caught.value).endswith(reason)


def test_no_file_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    load(CERTIFICATE, KEY)
    with pytest.raises(ValueError, match="failed to load"):
        load(CERTIFICATE, "no key")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"client_cert": CERTIFICATE, "client_key": KEY},
        {"client_cert_id": 1},
        {"client_cert_id": "a", "verify": True},
    ],
)
def test_good_settings(document: dict[str, Any]) -> None:
    assert UpstreamTls.model_validate(document).model_dump(exclude_unset=True) == document


@pytest.mark.parametrize(
    ("document", "text"),
    [
        (
            {"client_cert": CERTIFICATE},
            'failed to validate dependent schema for "client_cert": property "client_key" is required',
        ),
        (
            {"client_key": KEY},
            'failed to validate dependent schema for "client_key": property "client_cert" is required',
        ),
        (
            {"client_cert": CERTIFICATE, "client_key": KEY, "client_cert_id": 1},
            'failed to validate dependent schema for "client_cert_id": value wasn\'t supposed to match schema',
        ),
    ],
)
def test_bad_settings(document: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        UpstreamTls.model_validate(document)
    assert caught.value.errors()[0]["msg"] == text
