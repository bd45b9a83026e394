"""A host's part in a fleet: which processes it runs, which part of the file it reads, what it must have been given.

all        workers, shipper and console: an installation on one host, which may have further gateways
gateway    workers and shipper; flags, keys and definitions come through Redis
console    the console alone; it publishes to Redis
"""

from __future__ import annotations

import logging
import socket
import subprocess
from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from gateway.console.distribution import remember_fleet
from gateway.console.installation import RUN, master_keys
from gateway.serve.children import Family
from gateway.serve.ports import StartError
from gateway.serve.running import Child
from gateway.settings.access import redis_access
from gateway.settings.last_good import LAKE_COPY, LAKE_FOLDER
from gateway.settings.load import load_checked, load_process_settings
from gateway.settings.problem import Problem
from gateway.settings.schema import Configuration
from gateway.settings.secrets import MASTER_FILE, MASTER_VARIABLE, SecretError
from gateway.settings.snapshot import unseal

_FETCH_S = 8.0
"""How long a start waits for an object store; less than the time in which an orchestrator would call it stuck."""
_log = logging.getLogger("turnout.serve")

Part = Literal["all", "gateway", "console"]


class Ports(NamedTuple):
    """Where the gateway, the console and `/metrics` listen, each if it runs here."""

    gateway: socket.socket | None
    console: socket.socket | None
    metrics: socket.socket | None


def load_for(role: Part, config: Path, names: AbstractSet[str]) -> tuple[Configuration, tuple[Problem, ...]]:
    """Read what this part reads of the file: a gateway of a fleet leaves the definitions to the console.

    Raises:
        SettingsError: what is read is wrong.
    """
    return load_process_settings(config, names) if role == "gateway" else load_checked(config, names)


def not_whole(role: Part, *, is_demo: bool) -> str:
    """Say that a demonstration or a takeover is no business of this part of a fleet, and what is."""
    if is_demo:
        return f"--demo runs a whole host of its own, and --role {role} is one of a fleet; leave one of them out"
    remedies = {
        "gateway": "send SIGHUP to a gateway's `turnout serve`: its workers are replaced one by one, without a loss",
        "console": "stop this console and start it again: the gateways serve on meanwhile",
    }
    return f"--takeover is for a host that is whole; of a fleet, {remedies[role]}"


def require_fleet(role: Part, definitions: Configuration, state_dir: Path, environment: Mapping[str, str]) -> None:
    """Refuse a part that cannot be played.

    Raises:
        StartError: there is no Redis; or a gateway has no master secret, which it may not make for itself.
    """
    if role == "all":
        return
    if definitions.redis.url is None:
        message = f'--role {role} works through Redis; write [redis] with url = "redis://HOST:6379" in the file'
        raise StartError(message)
    if role == "gateway":
        try:
            master_keys(state_dir, environment, create=False)
        except SecretError as error:
            file = state_dir / MASTER_FILE
            why = str(error) if MASTER_VARIABLE in environment or file.exists() else "none was given to this host"
            message = (
                f"a gateway needs the master secret of its fleet: {why}; give it the console's, as {MASTER_VARIABLE} "
                f"or as {file}"
            )
            raise StartError(message) from error


def remember(family: Family, patience_s: float = _FETCH_S) -> None:
    """Before a fleet's ledger is opened, learn what the fleet has seen last; without a master secret it is new."""
    redis = family.definitions.redis
    if redis.url is None:
        return
    try:
        keys = master_keys(family.state_dir, family.environment, create=False)
    except SecretError:
        return
    from rollout.stores.redis import RedisSnapshotStore  # noqa: PLC0415 - only a fleet needs Redis' library

    unsealed = partial(unseal, signing_key=keys.snapshot)
    store = RedisSnapshotStore(redis_access(redis, family.environment))
    try:
        lake = family.lake_directory or _fetched(family, patience_s)
        remember_fleet(family.state_dir / RUN, store, lake / LAKE_FOLDER, unsealed)
    except OSError as error:
        message = (
            f"what the fleet has seen last cannot be kept: {error}; make the lake and the state directory writable"
        )
        raise StartError(message) from error
    finally:
        store.close()


def clear_fetched(family: Family) -> None:
    """Make room for what comes from afar, without what came in an earlier life: the lake may have a much newer one."""
    for folder in (family.fetched.parent, family.fetched):
        folder.mkdir(mode=0o700, exist_ok=True)
    (family.fetched / LAKE_COPY).unlink(missing_ok=True)


def _fetched(family: Family, patience_s: float) -> Path:
    """Bring the copy from an object store if that answers soon; it is asked again when the console runs."""
    clear_fetched(family)
    try:
        done = subprocess.run(
            family.fetch(),
            env=family.shippers_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=patience_s,
            check=False,
        )
        trouble = done.stderr.strip().rpartition("\n")[2] if done.returncode == 1 else None
    except subprocess.TimeoutExpired:
        trouble = f"the object store did not answer within {patience_s:g} s"
    if trouble is not None:
        _log.warning("the copy of the snapshot in the lake is not known", extra={"reason": trouble})
    return family.fetched


def children_of(
    role: Part, family: Family, workers: int | None, ports: Ports, taken: Collection[str] = ()
) -> list[Child]:
    """Return the processes of this part of a fleet, or of the whole."""
    gateway, console, metrics = ports
    children: list[Child] = []
    if gateway is not None:
        children += family.workers(workers, gateway, taken, is_fleet=role == "gateway")
        children.append(family.shipper(family.lake, metrics, is_fleet=role == "gateway"))
    if console is not None:
        children.append(family.console(console, family.lake))
    return children
