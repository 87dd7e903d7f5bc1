"""Where this process's settings came from, to read them again: the settings file and the flags; variables stay the process's own.

Nothing secret stands in it, as it travels as an argument. Standard library only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsSources:
    """``config``: the path that was given, None = ``./headgate.yaml`` where there is one; ``flags`` by dotted name."""

    config: str | None = None
    flags: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def of(cls, config: object, flags: Mapping[str, object]) -> SettingsSources:
        """Take what the command line parsed; paths become texts, flags that were not given are left out."""
        given = {name: value for name, value in flags.items() if value not in (None, (), [])}
        texts = {name: value if isinstance(value, list) else str(value) for name, value in given.items()}
        return cls(config=None if config is None else str(config), flags=texts)

    def to_argument(self) -> str:
        """Give the argument that :meth:`from_argument` reads."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_argument(cls, argument: str) -> SettingsSources:
        """Read the argument of a process."""
        return cls(**json.loads(argument))
