from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.config.client_pem import CERTIFICATE, KEY

from headgate.config.authorities import read_authorities, verifying_context

TORN = CERTIFICATE[: len(CERTIFICATE) // 2]


def test_the_files_authorities_alone_are_trusted(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text(f"# Über uns\n{CERTIFICATE}", encoding="utf-8")  # files of distributions have such comments
    context = verifying_context(read_authorities(path))
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert len(context.get_ca_certs()) == 1


def test_without_a_file_the_systems_are() -> None:
    context = verifying_context(None)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path.write_text("no certificate\n"), "holds no certificates in PEM, or damaged ones"),
        (lambda path: path.write_text(""), "holds no certificates in PEM, or damaged ones"),
        (lambda path: path.write_bytes(bytes(range(256))), "holds no certificates in PEM, or damaged ones"),
        (lambda path: path.write_text(KEY), "holds no certificates in PEM, or damaged ones"),
        (lambda path: path.write_text(TORN), "holds no certificates in PEM, or damaged ones"),
        (lambda path: path.write_text(CERTIFICATE + TORN), "holds no certificates in PEM, or damaged ones"),
        (lambda path: path.mkdir(), "cannot be read: Is a directory"),
        (lambda path: path.parent, "cannot be read: No such file or directory"),
    ],
)
def test_a_file_that_cannot_be_used_is_said_in_one_line(
    tmp_path: Path, make: Callable[[Path], object], said: str
) -> None:
    path = tmp_path / "ca.pem"
    make(path)
    with pytest.raises(ValueError, match=r"ca\.pem") as caught:
        read_authorities(path)
    assert str(caught.value) == f"{path} {said}"
