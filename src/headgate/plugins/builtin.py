"""The plugins that headgate brings, in one place. Others come by the entry-point group ``headgate.plugins``."""

from __future__ import annotations

from headgate.plugins.api import Plugin
from headgate.plugins.cors import Cors
from headgate.plugins.proxy_buffering import ProxyBuffering
from headgate.plugins.proxy_rewrite import ProxyRewrite
from headgate.plugins.request_id import RequestId
from headgate.plugins.sse import Sse
from headgate.plugins.stream_guard import StreamGuard
from headgate.plugins.stream_log import StreamLog

BUILT_IN: tuple[type[Plugin], ...] = (StreamGuard, ProxyBuffering, RequestId, Cors, ProxyRewrite, Sse, StreamLog)
"""By falling priority."""
