"""The certificate authorities that https upstreams need (setting ``upstream.ca_file``).

Used when the settings are read, so that a bad file is said before anything starts, and when an upstream is compiled.
"""

from __future__ import annotations

import ssl
from pathlib import Path


def verifying_context(ca_file: Path | None) -> ssl.SSLContext:
    """Give a new context for clients that trusts the authorities in ``ca_file`` (PEM), None = the system's.

    Raises ValueError with one line that says what is wrong with the file.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:  # an OSError too, but its texts are OpenSSL's own and say less
        raise ValueError(f"{ca_file} holds no certificates in PEM, or damaged ones") from None
    except OSError as error:
        raise ValueError(f"{ca_file} cannot be read: {error.strerror}") from None
