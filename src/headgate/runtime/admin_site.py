"""What control serves over HTTP: the Admin API with readiness and streams, and the metrics.

It stands apart from control because loading it (FastAPI, uvicorn, the metrics' library) takes as long as loading everything else that
control needs: workers have their table before.
"""

from __future__ import annotations

from collections.abc import Sequence

from headgate.admin.access import AccessRules
from headgate.admin.app import create_app
from headgate.admin.ready import Readiness, Status, create_ready_router
from headgate.admin.streams import stream_router
from headgate.config.settings import AdminKey
from headgate.observe.counters import Counters
from headgate.observe.metrics import create_metrics_app, create_router
from headgate.plugins.catalog import Catalog
from headgate.runtime.admin_server import AdminServer
from headgate.runtime.configuration import Source
from headgate.runtime.start import Start
from headgate.runtime.stream_desk import StreamDesk


class AdminSite:
    """The servers, on the sockets of ``start``, and what they say of readiness."""

    def __init__(
        self, start: Start, keys: Sequence[AdminKey], source: Source, plugins: Catalog, desk: StreamDesk
    ) -> None:
        self._readiness = Readiness()
        counters = [Counters(descriptor) for descriptor in start.counters]
        access = AccessRules(keys)
        admin = create_app(
            resources=source.resources,
            committer=source.queue,
            plugins=plugins,
            access=access,
            extra=[create_router(counters), create_ready_router(self._readiness), stream_router(desk, access)],
        )
        self.servers = [AdminServer(admin, start.admin, name="admin-server")]
        if start.metrics:
            self.servers.append(AdminServer(create_metrics_app(counters), start.metrics, name="metrics-server"))

    def tell(self, status: Status) -> None:
        """Have ``GET /headgate/ready`` say ``status``."""
        self._readiness.status = status
