"""The certificate authorities that https upstreams need (setting ``upstream.ca_file``).

The file is read once, with the settings: a bad one is said before anything starts, and one that goes bad later is no
concern of a worker or control process that is started anew. From then on its text travels with the settings.
"""

from __future__ import annotations

import ssl
from pathlib import Path


def read_authorities(ca_file: Path) -> str:
    """Give the text of ``ca_file`` (PEM), less what is not ASCII, which PEM has in comments only.

    Raises ValueError with one line that says what is wrong with the file.
    """
    try:
        authorities = ca_file.read_bytes().decode("ascii", "ignore")
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=authorities)
    except (ssl.SSLError, ValueError):  # an SSLError is an OSError too, but its texts are OpenSSL's own and say less
        raise ValueError(f"{ca_file} holds no certificates in PEM, or damaged ones") from None
    except OSError as error:
        raise ValueError(f"{ca_file} cannot be read: {error.strerror}") from None
    return authorities


def verifying_context(authorities: str | None) -> ssl.SSLContext:
    """Give a new context for clients that trusts ``authorities``, as read; None = the system's."""
    return ssl.create_default_context(cadata=authorities)
