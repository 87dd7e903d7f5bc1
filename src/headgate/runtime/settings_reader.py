"""The process that reads the settings again for a reload, as the supervisor has loaded nothing that can.

It writes one JSON object to stdout: ``settings`` with what is to be served from now on and ``kept``, the settings that differ but
take a restart; or ``problems``, lines for a person.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from headgate.config.settings import Settings
from headgate.config.settings_sources import SettingsError, load
from headgate.runtime.settings_sources import SettingsSources
from headgate.runtime.start import ignore_stop_signals, read_whole

TAKES_RESTART = ("listen", "admin", "metrics", "workers", "data_dir", "routes")


def read_again(sources: SettingsSources, served: Settings) -> dict[str, Any]:
    """Read ``sources`` with this process's variables; give what goes to stdout, see the module."""
    try:
        fresh = load(None if sources.config is None else Path(sources.config), os.environ, sources.flags)
    except SettingsError as error:
        return {"problems": [str(problem) for problem in error.problems]}
    old, new = served.model_dump(mode="json"), fresh.model_dump(mode="json")
    kept = {name: {"served": old[name], "asked": new[name]} for name in TAKES_RESTART if new[name] != old[name]}
    merged = {**new, **{name: old[name] for name in (*TAKES_RESTART, "metrics_explicit")}}
    try:
        settings = Settings.model_validate_json(json.dumps(merged))
    except ValidationError as error:
        names = ", ".join(kept)
        return {"problems": [f"without a restart, which {names} takes: {fault['msg']}" for fault in error.errors()]}
    return {"settings": settings.model_dump(mode="json"), "kept": kept}


def main(sources: str, served: str) -> int:
    """Read again; ``served`` is the descriptor of the settings that are served. Give the exit status."""
    ignore_stop_signals()
    settings = Settings.model_validate_json(read_whole(int(served)))
    print(json.dumps(read_again(SettingsSources.from_argument(sources), settings)))  # noqa: T201 - its answer
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
