"""The processes of one host as `Child`ren: their commands, what they may know of the environment, their turn to end.

Workers end first, so that the shipper can ship what they wrote; simulated models end last.
"""

from __future__ import annotations

import itertools
import os
import socket
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec

from analytics.lake.place import Place
from gateway.console.installation import RUN
from gateway.serve.running import Child
from gateway.serve.silence import Silence
from gateway.settings.environment import Role, child_environment
from gateway.settings.lake_access import lake_variables
from gateway.settings.last_good import LAKE_COPY
from gateway.settings.schema import Configuration
from gateway.settings.telemetry_access import pushing, telemetry_variables
from rollout.notify.heartbeat import HEARTBEAT_FILE

_STREAM_GRACE_S = 640.0
"""A worker's streams may run for the longest default total timeout (600 s), and then it still has to settle."""
_GRACE_S = 30.0


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """What all children of one host have in common."""

    definitions: Configuration
    environment: Mapping[str, str]
    state_dir: Path
    config: Path

    @property
    def lake(self) -> str:
        """Where this host's records go, and its reports read."""
        return self.definitions.lake.url or str(self.state_dir / "lake")

    @property
    def lake_directory(self) -> Path | None:
        """Where on this host the lake lies; None when it lies elsewhere."""
        return Place(url=self.lake).directory

    @property
    def fetched(self) -> Path:
        """Where what is needed of a lake in an object store is brought to, by the names that it has there."""
        return self.state_dir / RUN / "lake"

    def workers(
        self, count: int | None, listener: socket.socket, taken: Collection[str] = (), *, is_fleet: bool = False
    ) -> list[Child]:
        """Return this many workers on one listening socket; None: one per core. None gets a name that is taken.

        Those of a fleet decide by what comes through Redis.
        """
        total = count or cores()
        free = (name for number in itertools.count() if (name := f"worker-{number}") not in taken)
        names = itertools.islice(free, total)
        return [self._worker(name, total, listener, is_fleet=is_fleet) for name in names]

    def _worker(self, name: str, total: int, listener: socket.socket, *, is_fleet: bool) -> Child:
        """Return one worker, which knows how many there are should it have to keep its part of the host's limits."""
        server = msgspec.json.encode(self.definitions.server).decode()
        words = ["--workers", str(total), "--server", server, *self._redis()]
        if self.definitions.telemetry.otlp_url is not None:
            words += ["--trace-share", str(self.definitions.telemetry.sample)]
        role: Role = "fleet_worker" if is_fleet else "worker"
        if is_fleet:
            words += ["--lake", str(self.lake_directory or self.fetched), "--config", str(self.config)]
        return self._child(name, "gateway.proxy", words, role=role, turn=0, grace_s=_STREAM_GRACE_S, bound=listener)

    def _redis(self) -> list[str]:
        """Return how a process learns of Redis: where it is, and where its secrets are."""
        redis = self.definitions.redis
        return [] if redis.url is None else ["--redis", msgspec.json.encode(redis).decode()]

    def shipper(self, lake: str, metrics: socket.socket | None, *, is_fleet: bool = False) -> Child:
        """Return the shipper, which writes to this lake, and serves `/metrics` if there is a socket for it.

        In a fleet it also leaves word of this host's workers there, and brings the copy of the snapshot from afar.
        """
        level = self.definitions.logs.level
        words = ["--lake", lake, "--seal-every-s", str(self.definitions.lake.seal_every_s), "--log-level", level]
        if (pushed := pushing(self.definitions.telemetry)) is not None:
            words += ["--otlp", msgspec.json.encode(pushed).decode()]
        if is_fleet:
            words += ["--tell", str(self.state_dir / RUN)]
        if is_fleet and self.lake_directory is None:
            words += ["--fetch", LAKE_COPY, "--into", str(self.fetched)]
        return self._child(
            "shipper",
            "analytics.lake",
            words,
            role="shipper",
            turn=1,
            grace_s=_GRACE_S,
            bound=metrics,
        )

    def console(self, listener: socket.socket, lake: str) -> Child:
        """Return the console, whose reports read this lake."""
        sql = msgspec.json.encode(self.definitions.sql).decode()
        days = self.definitions.lake.retention_days
        kept = [] if days is None else ["--retention-days", str(days)]
        words = ["--config", str(self.config), "--lake", lake, *kept, "--sql", sql, *self._redis()]
        return self._child(
            "console", "gateway.console", words, role="console", turn=2, grace_s=_GRACE_S, bound=listener
        )

    def watch(self, held: ExitStack) -> Callable[[], None]:
        """Return the look for the controller's sign of life; when it is missing, webhooks are told."""
        command = _python("gateway.console.alarm", "--state-dir", str(self.state_dir), "--config", str(self.config))
        environment = child_environment(self.definitions, self.environment, role="console")
        return held.enter_context(closing(Silence(self.state_dir / RUN / HEARTBEAT_FILE, command, environment))).look

    def fetch(self) -> Sequence[str]:
        """Return the command that brings the copy of the snapshot once, to be run in the shipper's environment."""
        return _python("analytics.lake.fetch", "--lake", self.lake, "--name", LAKE_COPY, "--into", str(self.fetched))

    def shippers_environment(self) -> dict[str, str]:
        """Return what the shipper may know."""
        return {**child_environment(self.definitions, self.environment, role="shipper"), **self._opening("shipper")}

    def _opening(self, role: Role) -> dict[str, str]:
        """Return what opens the lake, and the backend of telemetry; neither is a worker's business."""
        if role in {"worker", "fleet_worker"}:
            return {}
        backend = telemetry_variables(self.definitions.telemetry, self.environment) if role == "shipper" else {}
        return {**lake_variables(self.definitions.lake, self.environment), **backend}

    def simulated(self, name: str, config: Path, listener: socket.socket) -> Child:
        """Return one simulated model server."""
        return Child(
            name=f"simulated-{name}",
            command=_python("gateway.simulate", "--config", str(config), "--fd", str(listener.fileno())),
            environment=child_environment(self.definitions, self.environment, role="shipper"),
            sockets=[listener.fileno()],
            turn=3,
            grace_s=_GRACE_S,
        )

    def _child(
        self,
        name: str,
        module: str,
        words: Sequence[str],
        *,
        role: Role,
        turn: int,
        grace_s: float,
        bound: socket.socket | None = None,
    ) -> Child:
        flag = "--metrics-fd" if role == "shipper" else "--fd"
        inherited = [] if bound is None else [flag, str(bound.fileno())]
        return Child(
            name=name,
            command=_python(module, "--state-dir", str(self.state_dir), *words, *inherited),
            environment={**child_environment(self.definitions, self.environment, role=role), **self._opening(role)},
            sockets=[] if bound is None else [bound.fileno()],
            turn=turn,
            grace_s=grace_s,
            rolls=role in ("worker", "fleet_worker"),
        )


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _python(module: str, *words: str) -> list[str]:
    return [sys.executable, "-m", module, *words]
