"""What ``headgate check FILE`` says: every problem of a settings file or routes file, without running anything."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from headgate.config.document_file import is_json, parse_document, read_text
from headgate.config.problem import ConfigurationError, Problem
from headgate.config.routes_file import SECTIONS, Admit, read_routes
from headgate.config.settings import WrittenSettings
from headgate.config.settings_sources import load
from headgate.config.validation import PluginCatalog


def check_file(
    path: Path,
    plugins: PluginCatalog,
    environ: Mapping[str, str] = os.environ,
    *,
    admit: Admit = lambda _: None,
) -> list[Problem]:
    """Give all problems of a file, in the order of its text; none = ``headgate run`` would take it.

    The file's top-level keys say which of the two kinds it is. ``environ`` is what a run would have: ``HEADGATE_…``
    over the settings, ``${{NAME}}`` in the routes; ``admit`` says whether an item that is valid also compiles.
    """
    try:
        if is_routes_file(path):
            return list(read_routes(path, plugins, environ, admit=admit).problems)
        load(path, environ, {})
    except ConfigurationError as error:
        return error.problems
    return []


def is_routes_file(path: Path) -> bool:
    """Say whether a file is a routes file rather than settings. Raises DocumentError for one that cannot be parsed.

    ``routes`` alone decides by its value: a list of routes, or the settings' path of a routes file. Where the keys are
    of both kinds the larger number decides; where they are of neither, the end mark ``#END`` does.
    """
    text = read_text(path)
    value = parse_document(text, path).value
    keys = value if isinstance(value, dict) else {}
    setting = isinstance(keys.get("routes"), str)
    routes = sum(key in SECTIONS and not (key == "routes" and setting) for key in keys)
    settings = sum(key in WrittenSettings.model_fields and not (key == "routes" and not setting) for key in keys)
    if routes == settings:
        return routes > 0 or is_json(path) or text.rstrip().endswith("#END")
    return routes > settings
