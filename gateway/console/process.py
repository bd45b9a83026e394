"""The console process: one installation, its API on an inherited socket, and the watch over `turnout.toml`."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path

import uvicorn
from litestar import Litestar

from analytics.lake.erasure import ERASURES, Erasures
from analytics.lake.manifest import read_manifest
from analytics.lake.place import Place
from gateway.console.app import Lifespan, create_app
from gateway.console.compacting import Compacting
from gateway.console.distribution import publishing
from gateway.console.driving import driven
from gateway.console.erasing import Erasing
from gateway.console.installation import Installation, master_keys, newest_snapshot, open_installation
from gateway.console.notifying import Notices
from gateway.console.queries import COPIES, Queries, warn_of_missing_walls
from gateway.console.reports import Reports
from gateway.errors import ApiError
from gateway.settings.compile import definitions_of
from gateway.settings.load import files_beside, load_checked
from gateway.settings.logs import set_level
from gateway.settings.problem import Problem, SettingsError
from gateway.settings.schema import Configuration, Redis, Sql
from gateway.settings.secrets import SecretError
from rollout.stores.ledger import LedgerError

GRACE_S = 10
WATCH_S = 0.5
_NEVER = object()
_REFUSED = "configuration refused; the last good one stays"

_log = logging.getLogger("turnout.console")


def run(  # noqa: PLR0913 - one for each setting of the process
    listener: socket.socket,
    state_dir: Path,
    config: Path,
    environment: Mapping[str, str],
    *,
    lake: Place | None = None,
    redis: Redis | None = None,
    sql: Sql = Sql(),  # noqa: B008 - a frozen struct
    retention_days: int | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; with `redis` every snapshot goes to a fleet; the lake keeps `retention_days`.

    A configuration that is wrong at the start does not keep operators from rolling back: the console works with what
    was published last until the file is mended.

    Raises:
        SettingsError, SecretError, LedgerError: the installation cannot be opened.
    """
    watch = ConfigWatch(config)
    definitions = watch.changed()
    in_force = definitions or _published(state_dir, watch, environment)
    set_level(in_force.logs.level)
    installation = open_installation(state_dir, in_force, environment)
    place = lake or Place(url=str(state_dir / "lake"))
    reports, queries = _reports(place, state_dir, installation), _queries(sql, place, state_dir, installation)
    try:
        _start(installation, is_known=definitions is not None)
        notices = Notices(installation, state_dir, environment, is_known=definitions is not None)
        beside = _beside(watch, installation, place, state_dir, environment, queries, retention_days)
        moving = _moving(installation, notices, place, state_dir, environment)
        app = create_app(installation.control, reports, queries, lifespan=[notices.running, *beside, *moving])
        published = publishing(installation, state_dir, place, redis, environment) if redis else nullcontext()
        with published:
            _server(app).run(sockets=[listener])
    finally:
        queries.close()
        reports.close()
        installation.close()


def _moving(
    installation: Installation, notices: Notices, lake: Place, state_dir: Path, environment: Mapping[str, str]
) -> Sequence[Lifespan]:
    """Return what moves rollouts by itself: the controller, and foreign flags if this console is the writer."""
    driving = driven(installation, lake, state_dir, notices, installation.may_write)
    driving.beat = notices.heartbeat.beat
    foreign = [] if installation.ledger.read_only else [installation.control.foreign.told(environment, notices)]
    return [*foreign, driving.running]


def _start(installation: Installation, *, is_known: bool) -> None:
    """Bring the ledger in line with the configuration file, if it was right."""
    if installation.ledger.read_only:
        _log.warning("another console is this ledger's writer; this one is read-only")
    elif is_known:
        installation.control.start(installation.last_good)


def _beside(
    watch: ConfigWatch,
    installation: Installation,
    lake: Place,
    state_dir: Path,
    environment: Mapping[str, str],
    queries: Queries,
    retention_days: int | None,
) -> Sequence[Lifespan]:
    """Return what runs beside the API: the watch, what looks after the lake if this console is the one that writes."""

    def after() -> None:
        """Let the audit know what was let go of and erased, and analysts ask none of it."""
        installation.control.removals.note_expired(read_manifest(lake.open()).expired)
        if installation.control.removals.note_erasures():
            queries.discard_copies()

    compacting = Compacting(
        place=lake,
        state_dir=state_dir,
        environment=environment,
        may=installation.may_write,
        after=after,
        retention_days=retention_days,
    )
    erasing = Erasing(lake, state_dir, environment, queries.discard_copies)
    installation.control.removals.begin(Erasures(state_dir / ERASURES), lake.name, erasing.look)
    return [partial(_watching, watch=watch, installation=installation), compacting.running, erasing.running]


def _reports(lake: Place, state_dir: Path, installation: Installation) -> Reports:
    """Return the reports, which see what this host's workers record before it is in the lake."""
    return Reports(installation.control, lake, state_dir / "journal")


def _queries(sql: Sql, lake: Place, state_dir: Path, installation: Installation) -> Queries:
    """Return the analysts' queries; a console beside the ledger's writer has copies of its own."""
    warn_of_missing_walls()
    folder = state_dir / (f"{COPIES}-second" if installation.ledger.read_only else COPIES)
    return Queries(sql, lake, folder, journal=state_dir / "journal")


def _server(app: Litestar) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=GRACE_S,
        )
    )


def can_open(state_dir: Path, config: Path, environment: Mapping[str, str]) -> bool:
    """Tell whether a console that could not start may be started again: the ledger opens, or is not what is wrong."""
    watch = ConfigWatch(config)
    try:
        open_installation(state_dir, watch.changed() or _published(state_dir, watch, environment), environment).close()
    except (LedgerError, ApiError):
        return False
    except (SettingsError, SecretError):
        return True
    return True


def _published(state_dir: Path, watch: ConfigWatch, environment: Mapping[str, str]) -> Configuration:
    snapshot = newest_snapshot(state_dir, master_keys(state_dir, environment, create=False))
    if snapshot is None:
        raise SettingsError(str(watch.path), watch.problems)
    return definitions_of(snapshot)


class ConfigWatch:
    """Notices a changed configuration file and judges it whole; a bad one is said, and the last good one stays.

    So it is with a file that the judgement itself fails at, for whatever reason.
    `problems` are those of the file as it was looked at last. The first look finds it changed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: Sequence[Problem] = ()
        self._seen: object = _NEVER
        self._beside: Sequence[Path] = ()

    def changed(self) -> Configuration | None:
        """Return the new definitions if the file has changed and is right."""
        mark = self._mark()
        if mark == self._seen:
            return None
        try:
            self._beside = files_beside(self.path) or self._beside
            self._seen = self._mark()
            definitions, warnings = load_checked(self.path, None)
            self.problems = ()
        except SettingsError as error:
            self.problems = error.problems
            for problem in error.problems:
                _log.error(_REFUSED, extra=self._said(problem))
            return None
        except Exception as error:  # noqa: BLE001 - said as a warning; the last good configuration stays
            self._seen = self._mark()
            problem = Problem(path="", message=_unexpected(error))
            self.problems = (problem,)
            _log.exception(_REFUSED, extra=self._said(problem))
            return None
        for problem in warnings:
            _log.warning("configuration", extra=self._said(problem))
        return definitions

    def _said(self, problem: Problem) -> dict[str, str]:
        return {"path": str(self.path), "reason": str(problem)}

    def _mark(self) -> Sequence[tuple[int, int, int] | None]:
        return [_stamp(path) for path in (self.path, *self._beside)]


def _unexpected(error: Exception) -> str:
    """Say what nobody foresaw: an error of Turnout's own, which is no reason to go on in silence."""
    return f"it failed with {type(error).__name__}, at a place that the console's log names; undo the last change of it"


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return (status.st_ino, status.st_size, status.st_mtime_ns)


class Uptake:
    """Takes up what the watch finds; what cannot be taken up now is tried again at every look, which is said once."""

    def __init__(self, watch: ConfigWatch, take: Callable[[Configuration], object]) -> None:
        self._watch = watch
        self._take = take
        self._untaken: Configuration | None = None
        self._trouble: str | None = None

    def refused(self) -> Sequence[str]:
        """Return why the file as it stands is not in force; nothing when it is."""
        return (self._trouble,) if self._trouble else tuple(str(problem) for problem in self._watch.problems)

    def look(self) -> None:
        """Look at the file, and take up what is new or left over."""
        definitions = self._watch.changed() or self._untaken
        if definitions is None:
            return
        self._untaken = None
        try:
            self._take(definitions)
        except ApiError as error:
            self._wait(definitions, error.message)
        except Exception as error:  # noqa: BLE001 - said as a warning; the last good configuration stays
            self._wait(definitions, _unexpected(error), error)
        else:
            self._trouble = None
            _log.info("configuration taken up")

    def _wait(self, definitions: Configuration, trouble: str, error: Exception | None = None) -> None:
        self._untaken = definitions
        if trouble != self._trouble:
            _log.error("configuration not taken up yet; it is tried again", extra={"reason": trouble}, exc_info=error)
        self._trouble = trouble


@asynccontextmanager
async def _watching(_: Litestar, *, watch: ConfigWatch, installation: Installation) -> AsyncGenerator[None]:
    watching = asyncio.create_task(_reload(watch, installation), name="watch-configuration")
    try:
        yield
    finally:
        watching.cancel()


async def _reload(watch: ConfigWatch, installation: Installation) -> None:
    def take(definitions: Configuration) -> None:
        installation.control.reload_definitions(definitions)
        set_level(definitions.logs.level)

    uptake = Uptake(watch, take)
    while True:
        await asyncio.sleep(WATCH_S)
        if installation.ledger.read_only or installation.control.barred() is not None:
            continue
        try:
            await asyncio.to_thread(uptake.look)
            installation.control.refused = uptake.refused()
        except Exception as error:  # noqa: BLE001 - the task's outermost loop: said, and it goes on
            installation.control.refused = (_unexpected(error),)
            _log.exception("watching the configuration failed; it goes on")
