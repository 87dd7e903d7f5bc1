"""The three time limits towards an upstream."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from headgate.config.strict_model import StrictModel

_Seconds = Annotated[float, Field(gt=0)]


class Timeout(StrictModel):
    """Limits in seconds, all three to be given, each more than 0."""

    connect: _Seconds = Field(description="Longest wait for a connection to the upstream, in seconds.")
    send: _Seconds = Field(description="Longest gap between two writes to the upstream, in seconds.")
    read: _Seconds = Field(description="Longest gap between two reads from the upstream, in seconds.")
