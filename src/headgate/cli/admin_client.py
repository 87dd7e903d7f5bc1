"""The command line's own calls to the Admin API: over ``http.client``, with errors that a person can act on."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from headgate.wire.sse import Event, EventParser

CALL_S = 20.0
"""How long a call may take; the Admin API answers within 10 s, whatever its workers do."""
SILENCE_S = 60.0
"""How long nothing may come on a tail, which has a comment every 15 s."""
KEY_VARIABLE = "HEADGATE_ADMIN_KEY"
ADDRESS_VARIABLE = "HEADGATE_ADMIN"
DEFAULT_ADDRESS = "127.0.0.1:9180"

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what is listened on, to what is called


class AdminCallError(Exception):
    """The Admin API did not do what was asked; the text says why and, where it can, what to do."""


class AdminClient:
    """Calls the Admin API at ``address``, ``HOST:PORT`` or ``http://HOST:PORT``, with ``key`` if there is one.

    Raises AdminCallError for what is no address.
    """

    def __init__(self, address: str, key: str | None) -> None:
        self.url = address if "://" in address else f"http://{address}"
        scheme, host, self._port = _split(self.url)
        if scheme not in {"http", "https"} or not host:
            raise AdminCallError(f"--admin {address}: expected HOST:PORT or http://HOST:PORT")
        self._is_tls = scheme == "https"
        self._host = _ANYWHERE.get(host, host)
        self._fields = {"X-API-KEY": key} if key else {}

    def call(self, method: str, target: str) -> Mapping[str, Any]:
        """Give the decoded answer. Raises AdminCallError."""
        with self._open(method, target, CALL_S) as response:
            return self._read(response)

    def follow(self, target: str) -> Iterator[Event]:
        """Give the events of a stream as they come, to its end. Raises AdminCallError."""
        with self._open("GET", target, SILENCE_S) as response:
            parser = EventParser()
            try:
                while piece := response.read1(65536):
                    yield from parser.feed(piece)
            except (OSError, http.client.HTTPException) as error:
                raise AdminCallError(f"the Admin API broke off: {_reason(error)}") from None

    @contextmanager
    def _open(self, method: str, target: str, timeout_s: float) -> Iterator[http.client.HTTPResponse]:
        """Give an answer whose head is there and is no refusal."""
        make = http.client.HTTPSConnection if self._is_tls else http.client.HTTPConnection
        with closing(make(self._host, self._port, timeout=timeout_s)) as connection:
            try:
                connection.request(method, target, headers=self._fields)
                response = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                raise AdminCallError(
                    f"cannot reach the Admin API at {self.url}: {_reason(error)}; --admin says where it is"
                ) from None
            with response:
                if response.status >= 300:
                    raise AdminCallError(self._refusal(response))
                yield response

    def _read(self, response: http.client.HTTPResponse) -> Mapping[str, Any]:
        try:
            answer = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError):
            answer = None
        if not isinstance(answer, dict):
            raise AdminCallError(f"{self.url} gave no answer of an Admin API")
        return answer

    def _refusal(self, response: http.client.HTTPResponse) -> str:
        answer = self._read(response)
        text = str(answer.get("error_msg", response.status))
        if response.status == 401:
            how = "--key or HEADGATE_ADMIN_KEY gives one"
            return f"the Admin API wants an admin key: {answer.get('description', text)}; {how}"
        return text


def find_address(environ: Mapping[str, str]) -> str:
    """Give the Admin API's address of the gateway of this directory: by the settings, if there are any.

    Raises AdminCallError where they cannot be read.
    """
    from headgate.config.settings_sources import DEFAULT_FILE, SettingsError, load  # noqa: PLC0415 -- not always needed

    if not (environ.get(ADDRESS_VARIABLE) or Path(DEFAULT_FILE).exists()):
        return DEFAULT_ADDRESS
    try:
        return load(None, environ, {}).admin
    except SettingsError as error:
        raise AdminCallError(f"{error.problems[0]}; --admin does without the settings") from None


def _split(url: str) -> tuple[str, str | None, int | None]:
    """Give scheme, host and port; no host for what is no address."""
    try:
        parts = urlsplit(url)
        return parts.scheme, None if parts.path.strip("/") else parts.hostname, parts.port
    except ValueError:
        return "", None, None


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
