"""Where settings come from: ``headgate.yaml``, then ``HEADGATE_…`` variables, then flags; what comes later wins.

Invariant: all problems are reported together, each with the file, variable or flag that it comes from.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from headgate.config.authorities import read_authorities
from headgate.config.document import Document, DocumentError
from headgate.config.document_file import parse_document, read_text
from headgate.config.overrides import overrides_from
from headgate.config.problem import ConfigurationError, Problem, in_order
from headgate.config.settings import Settings, WrittenSettings
from headgate.config.settings_layers import Layers, settings_problems

DEFAULT_FILE = Path("headgate.yaml")
"""The settings file that is used, where it exists, when none is named."""


class SettingsError(ConfigurationError):
    """Settings that cannot be used; ``problems`` lists everything that is wrong with them."""


def load(file: Path | None, environ: Mapping[str, str], flags: Mapping[str, object]) -> Settings:
    """Load the settings.

    ``file``: the settings file, which must exist; None = ``./headgate.yaml`` where there is one. ``environ``: variables
    ``HEADGATE_LISTEN``, ``HEADGATE_HTTP_MAX_HEADERS`` …; lists are comma-separated or JSON. ``flags``: values by dotted
    name (``"listen"``, ``"http.max_headers"``), typed or as text like a variable's; None and () = not given.
    Raises SettingsError with all problems.
    """
    document = _read(file)
    overrides, problems = overrides_from(WrittenSettings, environ, flags)
    problems += [problem for _, problem in document.flaws]
    layers = Layers(document, overrides)
    authorities: str | None = None
    try:
        settings = WrittenSettings.model_validate(layers.values)
    except ValidationError as error:
        problems += settings_problems(WrittenSettings, error, layers)
    else:
        authorities, found = _read_authorities(settings.upstream.ca_file, layers)
        problems += found
    if problems:
        raise SettingsError(in_order(problems))
    return Settings.model_validate(
        {**layers.values, "metrics_explicit": "metrics" in layers.values, "authorities": authorities}
    )


def _read_authorities(ca_file: Path | None, layers: Layers) -> tuple[str | None, list[Problem]]:
    """Read the authorities' certificates: the processes that need them would fail one by one, and again and again."""
    if ca_file is None:
        return None, []
    try:
        return read_authorities(ca_file), []
    except ValueError as error:
        return None, [layers.problem(("upstream", "ca_file"), str(error))]


def _read(file: Path | None) -> Document:
    """Read the file into a document whose value is a mapping. Raises SettingsError for one that is no such thing."""
    path = file or DEFAULT_FILE
    if file is None and not path.exists():
        return Document(str(path), {})
    try:
        document = parse_document(read_text(path), path)
    except DocumentError as error:
        # What variables and flags say is not looked at: without the file much of it would seem wrong that is not.
        raise SettingsError(error.problems) from None
    if document.value is None:
        document.value = {}
    if not isinstance(document.value, dict):
        raise SettingsError([Problem(str(path), 1, 1, "", "expected a mapping of settings")])
    return document
