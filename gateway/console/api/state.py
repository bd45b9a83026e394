"""`/api/v1/audit`, `/api/v1/status` and `/healthz`."""

from __future__ import annotations

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from gateway.console.api.rollouts import Limit
from gateway.console.auth import OPEN, permits
from gateway.console.control import Control
from gateway.console.views import HistoryView, StatusView


@get("/audit", opt=permits("ops", "admin"), sync_to_thread=True)
def audit(control: NamedDependency[Control], *, verify: FromQuery[bool] = False, limit: Limit = 100) -> HistoryView:
    """List the installation's audit entries, newest first; `verify` checks the whole chain."""
    return control.audit(verify=verify, limit=limit)


@get("/status", opt=permits("ops", "analyst", "admin"), sync_to_thread=True)
def status(control: NamedDependency[Control]) -> StatusView:
    """Show the versions in force and the workers that follow them."""
    return control.status()


@get("/healthz", opt=OPEN, sync_to_thread=False)
def healthz() -> dict[str, str]:
    """Tell that this process answers."""
    return {"status": "ok"}
