"""The refusal of a document: APISIX's text for it, and where in the document it applies."""

from __future__ import annotations

from typing import Self


class InvalidConfiguration(ValueError):
    """A document that is refused.

    ``text`` is the whole ``error_msg`` of the Admin API's answer. ``location`` is the path from the document's top to
    what is wrong: keys, and list indexes from 0; empty for the document itself.
    """

    def __init__(self, text: str, *, location: tuple[str | int, ...] = ()) -> None:
        super().__init__(text)
        self.text = text
        self.location = location

    def under(self, *keys: str | int) -> Self:
        """Give the same refusal as seen from further out: ``keys`` lead to the part that was checked."""
        return type(self)(self.text, location=(*keys, *self.location))
