"""A host's part in a fleet: which processes it runs, which part of the file it reads, what it must have been given.

all        workers, shipper and console: an installation on one host, which may have further gateways
gateway    workers and shipper; flags, keys and definitions come through Redis
console    the console alone; it publishes to Redis
"""

from __future__ import annotations

import socket
from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from gateway.console.distribution import lake_copy, remember_fleet
from gateway.console.installation import RUN, master_keys
from gateway.serve.children import Family
from gateway.serve.ports import StartError
from gateway.serve.running import Child
from gateway.settings.access import redis_access
from gateway.settings.load import load_checked, load_process_settings
from gateway.settings.problem import Problem
from gateway.settings.schema import Configuration
from gateway.settings.secrets import MASTER_FILE, MASTER_VARIABLE, SecretError
from gateway.settings.snapshot import unseal
from rollout.stores.redis import RedisSnapshotStore

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
            message = (
                f"a gateway needs the master secret of its fleet: {error}; give it the console's, as {MASTER_VARIABLE} "
                f"or as {state_dir / MASTER_FILE}"
            )
            raise StartError(message) from error


def remember(family: Family) -> None:
    """Before a fleet's ledger is opened, learn what the fleet has seen last; without a master secret it is new."""
    redis = family.definitions.redis
    if redis.url is None:
        return
    try:
        keys = master_keys(family.state_dir, family.environment, create=False)
    except SecretError:
        return
    unsealed = partial(unseal, signing_key=keys.snapshot)
    store = RedisSnapshotStore(redis_access(redis, family.environment))
    try:
        lake = family.lake_directory
        remember_fleet(family.state_dir / RUN, store, lake_copy(lake, unsealed) if lake else None, unsealed)
    except OSError as error:
        message = (
            f"what the fleet has seen last cannot be kept: {error}; make the lake and the state directory writable"
        )
        raise StartError(message) from error
    finally:
        store.close()


def children_of(
    role: Part, family: Family, workers: int | None, ports: Ports, taken: Collection[str] = ()
) -> list[Child]:
    """Return the processes of this part of a fleet, or of the whole."""
    gateway, console, metrics = ports
    children: list[Child] = []
    if gateway is not None:
        children += family.workers(workers, gateway, taken, is_fleet=role == "gateway")
        children.append(family.shipper(family.lake, metrics))
    if console is not None:
        children.append(family.console(console, family.lake))
    return children
