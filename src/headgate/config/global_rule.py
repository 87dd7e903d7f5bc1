"""The global rule resource: plugins that run for every request, before those of its route."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from headgate.config.resource import Id, Identified


class GlobalRule(Identified):
    """A global rule, with APISIX's fields."""

    id: Id = Field(description="Id, unique among global rules; usually given in the URL.")
    plugins: dict[str, Any] = Field(description="Plugin configurations by plugin name.")
