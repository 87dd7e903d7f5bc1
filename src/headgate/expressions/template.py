r"""Texts with variables in them: ``$name`` or ``${name}``, a literal dollar sign as ``\$``.

A dollar sign that no name follows stands for itself. An absent variable expands to nothing, as in APISIX. What a
variable expands to is what the client sent: whoever puts the result into a header or a request line checks it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from headgate.expressions.variables import Variable, VariableSource, compile_variable, needs_form

_VARIABLE = re.compile(r"\\\$|\$\{([\w.-]+)\}|\$(\d+|[A-Za-z_]\w*)", re.ASCII)
"""A name that begins with a digit is a number and ends with it: ``$1_$2`` are two groups of a pattern."""


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled text: literal pieces and variables in order; ``names`` are the variables' names."""

    parts: tuple[bytes | Variable, ...]
    names: tuple[str, ...]

    @property
    def needs_form(self) -> bool:
        """Whether it holds a variable that is read from the request's body."""
        return any(needs_form(name) for name in self.names)

    def expand(self, source: VariableSource) -> bytes:
        """Give the text as UTF-8 with the raw bytes of the variables in their places."""
        return b"".join(part if isinstance(part, bytes) else part(source) or b"" for part in self.parts)


def compile_template(text: str) -> Template:
    """Compile ``text``; every text is a template, so nothing is refused."""
    parts: list[bytes | Variable] = []
    names: list[str] = []
    end = 0
    for match in _VARIABLE.finditer(text):
        parts.append(text[end : match.start()].encode())
        end = match.end()
        name = match[1] or match[2]
        if name is None:
            parts.append(b"$")
        else:
            parts.append(compile_variable(name))
            names.append(name)
    parts.append(text[end:].encode())
    return Template(tuple(part for part in parts if part != b""), tuple(names))
