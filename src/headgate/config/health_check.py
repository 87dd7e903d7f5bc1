"""Health checks of an upstream's nodes: probes of headgate's own (active) and what traffic shows (passive)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from headgate.config.matching import HostPattern, Method
from headgate.config.strict_model import KeyRule, Maybe, StrictModel, refuse_repeats

_Status = Annotated[int, Field(ge=200, le=599)]
_Statuses = Annotated[list[_Status], Field(min_length=1), AfterValidator(refuse_repeats)]
_Interval = Annotated[int, Field(ge=1)]
_Times = Annotated[int, Field(ge=1, le=254)]
_TimesOrNever = Annotated[int, Field(ge=0, le=254)]
_Protocol = Literal["http", "https", "tcp"]


class ActiveHealthy(StrictModel):
    """When a node that was down is up again."""

    interval: _Interval = Field(default=1, description="Seconds between two probes of a healthy node.")
    http_statuses: _Statuses = Field(default=[200, 302], description="Statuses that count as success.")
    successes: _Times = Field(default=2, description="Successes in a row that make a node healthy.")


class ActiveUnhealthy(StrictModel):
    """When a node that was up is down."""

    interval: _Interval = Field(default=1, description="Seconds between two probes of an unhealthy node.")
    http_statuses: _Statuses = Field(
        default=[429, 404, 500, 501, 502, 503, 504, 505], description="Statuses that count as failure."
    )
    http_failures: _Times = Field(default=5, description="Failed answers in a row that make a node unhealthy.")
    tcp_failures: _Times = Field(default=2, description="Failed connections in a row that make a node unhealthy.")
    timeouts: _Times = Field(default=3, description="Probes without answer in a row that make a node unhealthy.")


class Active(StrictModel):
    """Probes."""

    type: _Protocol = Field(
        default="http", description="What a probe is: a request, a request over TLS, or a connection."
    )
    timeout: float = Field(default=1, description="Longest wait for a probe's answer, in seconds.")
    concurrency: int = Field(default=10, description="Probes under way at once.")
    host: Maybe[HostPattern] = Field(default=None, description="Host that a probe asks for; the node's if not given.")
    port: Maybe[Annotated[int, Field(ge=1, le=65535)]] = Field(
        default=None, description="Port to probe; the node's if not given."
    )
    http_method: Method = Field(default="GET", description="Method of a probe.")
    http_path: str = Field(default="/", description="Path of a probe.")
    http_req_body: str = Field(default="", description="Body of a probe.")
    https_verify_certificate: bool = Field(default=True, description="Verify the node's certificate.")
    req_headers: Maybe[Annotated[list[str], Field(min_length=1)]] = Field(
        default=None, description="Header fields of a probe, each as `Name: value`."
    )
    healthy: ActiveHealthy = Field(default=ActiveHealthy(), description="When a node is up again.")
    unhealthy: ActiveUnhealthy = Field(default=ActiveUnhealthy(), description="When a node is down.")


class PassiveHealthy(StrictModel):
    """When traffic shows that a node is up again."""

    http_statuses: _Statuses = Field(
        default=[*range(200, 209), 226, *range(300, 309)], description="Statuses that count as success."
    )
    successes: _TimesOrNever = Field(default=5, description="Successes in a row that make a node healthy; 0: never.")


class PassiveUnhealthy(StrictModel):
    """When traffic shows that a node is down."""

    http_statuses: _Statuses = Field(default=[429, 500, 503], description="Statuses that count as failure.")
    tcp_failures: _TimesOrNever = Field(default=2, description="Failed connections in a row that make it so; 0: never.")
    timeouts: _TimesOrNever = Field(default=7, description="Timeouts in a row that make it so; 0: never.")
    http_failures: _TimesOrNever = Field(default=5, description="Failed answers in a row that make it so; 0: never.")


class Passive(StrictModel):
    """What requests show."""

    type: _Protocol = Field(default="http", description="What is looked at: answers, answers over TLS, or connections.")
    healthy: PassiveHealthy = Field(default=PassiveHealthy(), description="When a node is up again.")
    unhealthy: PassiveUnhealthy = Field(default=PassiveUnhealthy(), description="When a node is down.")


class HealthCheck(StrictModel):
    """Active checks, and passive ones if wanted, which cannot be alone: nothing would find a node up again."""

    active: Maybe[Active] = Field(default=None, description="Probes of headgate's own.")
    passive: Maybe[Passive] = Field(default=None, description="What requests show of the nodes; only beside `active`.")

    key_rules: ClassVar[tuple[KeyRule, ...]] = (KeyRule("anyOf", (("active",), ("active", "passive"))),)
