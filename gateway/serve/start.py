"""Start one host: check everything, open the installation, bind the ports, then hand over to the supervisor.

Nothing listens before the whole configuration is right and the first snapshot is compiled.
"""

from __future__ import annotations

import fcntl
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec
from msgspec.structs import replace

from analytics.lake.place import lake_directory
from analytics.lake.store import OBJECTS
from gateway.console.control import OLD_COPY
from gateway.console.installation import master_keys, newest_snapshot, open_installation
from gateway.console.keyring import FirstKeys
from gateway.errors import ApiError
from gateway.serve import demo
from gateway.serve.children import Family
from gateway.serve.fleet import Part, Ports, children_of, clear_fetched, load_for, not_whole, remember, require_fleet
from gateway.serve.handover import Estate, HandoverError, Inheritance, Offer, inherit, sign
from gateway.serve.listeners import bound_ports, inherited_ports, with_metrics
from gateway.serve.ownership import DEMO_CONFIG, ForeignDirectoryError, require_demo, set_demo_aside
from gateway.serve.ports import StartError, bind, url, write
from gateway.serve.supervisor import Supervisor
from gateway.settings.files import FEW, max_connections, raise_open_files
from gateway.settings.lake_access import LAKE_FILE, missing_package
from gateway.settings.logs import set_level
from gateway.settings.problem import dotted
from gateway.settings.schema import Configuration, Lake, Server
from gateway.settings.secrets import SecretError, resolve
from gateway.simulate.demo import SIMULATIONS
from rollout.stores.ledger import LEDGER_FILE, LedgerError

ADDRESSES = "addresses.json"
FIRST_KEYS = "first-keys"
_LOCK = "serve.lock"


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line says; None leaves the file's word for it. `role` is this host's part in a fleet."""

    config: Path
    state_dir: Path
    role: Part = "all"
    demo: bool = False
    host: str | None = None
    port: int | None = None
    console_port: int | None = None
    metrics_port: int | None = None
    workers: int | None = None
    takeover: bool = False


class Addresses(msgspec.Struct, frozen=True, kw_only=True):
    """The real addresses, as `addresses.json` has them; empty, and there left out, for what does not run here."""

    gateway: str
    console: str
    metrics: str = ""
    simulated: Sequence[str] = ()


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """A host that is ready to run.

    `notes` are sentences that the operator should read; `trouble` says why the ledger is unusable, in which case the
    last good snapshot serves and the console stays down. `public_name` is the first rollout's. `watch` is to be called
    all the time beside the supervisor's work.
    """

    state_dir: Path
    addresses: Addresses
    public_name: str | None
    notes: Sequence[str]
    trouble: str | None
    supervisor: Supervisor
    held: ExitStack
    watch: Callable[[], None] = lambda: None

    def first_keys(self) -> dict[str, str]:
        """Return the keys of the first start by name (`admin`, `application`), as far as their file is still there."""
        try:
            lines = (self.state_dir / FIRST_KEYS).read_text().splitlines()
        except OSError:
            return {}
        return {words[0]: words[1] for words in map(str.split, lines) if len(words) > 1}

    def close(self) -> None:
        """Close the sockets and let another host start on this state directory."""
        self.held.close()


def prepare(options: Options, environment: Mapping[str, str]) -> Host:
    """Check, open, bind; nothing runs yet.

    Raises:
        StartError: the platform, the state directory, the ledger or a port is in the way.
        SettingsError, SecretError: the configuration or the master secret is wrong.
    """
    _refuse_impossible(options)
    with ExitStack() as held:
        state_dir = options.state_dir.absolute()
        lock, notes = _claimed(state_dir, held, options)
        notes += _few_files(raise_open_files())
        simulated = {name: bind("127.0.0.1", 0, held) for name in SIMULATIONS} if options.demo else {}
        config = _demo_config(state_dir, simulated) if options.demo else options.config.absolute()
        definitions, warnings = load_for(options.role, config, set(environment))
        set_level(definitions.logs.level)
        _require(options.role, definitions, state_dir, environment)
        inheritance = _inherited(state_dir, held) if options.takeover else None
        family = Family(definitions=definitions, environment=environment, state_dir=state_dir, config=config)
        trouble = _open(options.role, family, notes)
        server = _overridden(definitions.server, options)
        ports = inherited_ports(inheritance, held) if inheritance else bound_ports(options.role, server, held)
        ports = with_metrics(ports, server, held, notes)
        children = [
            *(family.simulated(name, state_dir / f"demo-{name}.toml", bound) for name, bound in simulated.items()),
            *children_of(options.role, family, server.workers, ports, inheritance.estate.names if inheritance else ()),
        ]
        addresses = _announced(state_dir, definitions.lake, ports, list(simulated.values()))
        lock = inheritance.estate.lock if inheritance else lock
        offer = None if options.demo or options.role != "all" else _offer(state_dir, lock, ports, held)
        return Host(
            state_dir=state_dir,
            addresses=addresses,
            public_name=next(iter(definitions.rollouts), None),
            notes=[*(f"{config}: {warning}" for warning in warnings), *notes],
            trouble=trouble,
            supervisor=Supervisor(children, offer=offer, inheritance=inheritance),
            watch=family.watch(held) if options.role != "gateway" else lambda: None,
            held=held.pop_all(),
        )


def _few_files(allowed: int) -> list[str]:
    if allowed >= FEW:
        return []
    remedy = "raise the limit of open files (LimitNOFILE= in systemd, --ulimit nofile= for a container)"
    return [f"each worker may have only {allowed} files open, about {max_connections()} callers at once; {remedy}"]


def _refuse_impossible(options: Options) -> None:
    if sys.platform == "win32":
        message = "Turnout runs on Linux (and on macOS for development); on Windows use WSL"
        raise StartError(message)
    if options.takeover and options.demo:
        message = "the demonstration is not handed over; stop it and start it again, without --takeover"
        raise StartError(message)
    if options.role != "all" and (options.demo or options.takeover):
        raise StartError(not_whole(options.role, is_demo=options.demo))


def _announced(state_dir: Path, lake: Lake, ports: Ports, simulated: Sequence[socket.socket]) -> Addresses:
    places = {name: url(one) for name, one in ports._asdict().items() if one is not None}
    addresses = Addresses(**{"gateway": "", "console": "", **places}, simulated=[url(one) for one in simulated])
    there = {name: place for name, place in msgspec.structs.asdict(addresses).items() if place != ""}
    write(state_dir / ADDRESSES, msgspec.json.encode(there) + b"\n", 0o644)
    _tell_lake(state_dir, lake)
    return addresses


def _tell_lake(state_dir: Path, lake: Lake) -> None:
    """Leave word for the commands where the lake is; of its secrets, where they are found."""
    is_directory = lake.url is not None and not lake.url.startswith(OBJECTS)
    url = str(lake_directory(lake.url).absolute()) if lake.url is not None and is_directory else lake.url
    write(state_dir / LAKE_FILE, msgspec.json.encode(replace(lake, url=url)) + b"\n", 0o644)


def _inherited(state_dir: Path, held: ExitStack) -> Inheritance:
    """Have the former supervisor end its console and shipper, and hand over."""
    try:
        inheritance = held.enter_context(inherit(state_dir))
    except HandoverError as error:
        raise StartError(str(error)) from error
    held.callback(os.close, inheritance.estate.lock)
    return inheritance


def _offer(state_dir: Path, lock: int, ports: Ports, held: ExitStack) -> Offer:
    gateway, console, metrics = [one.fileno() if one is not None else -1 for one in ports]
    offer = Offer(state_dir, Estate(lock=lock, gateway=gateway, console=console, metrics=metrics))
    held.callback(offer.close)
    return offer


def _claim(state_dir: Path, held: ExitStack) -> int:
    """Make the state directory and hold its lock: two hosts on one directory would fight over every file."""
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(state_dir / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        message = f"the state directory {state_dir} cannot be used: {error.strerror}; choose another --state-dir"
        raise StartError(message) from error
    held.callback(os.close, lock)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        message = f"another `turnout serve` runs on {state_dir}; stop it, or choose another --state-dir"
        raise StartError(message) from error
    sign(lock)
    return lock


def _require(role: Part, definitions: Configuration, state_dir: Path, environment: Mapping[str, str]) -> None:
    _require_secrets(definitions, environment)
    require_fleet(role, definitions, state_dir, environment)


def _require_secrets(definitions: Configuration, environment: Mapping[str, str]) -> None:
    """Resolve every secret once: a worker without one could only die at its start."""
    missing: list[str] = []
    for place, reference in definitions.secret_refs():
        try:
            resolve(reference, environment)
        except SecretError as error:
            missing.append(f"{dotted(place)}: {error}")
    if (package := missing_package(definitions.lake)) is not None:
        missing.append(package)
    if missing:
        raise StartError("\n".join(missing))


def _claimed(state_dir: Path, held: ExitStack, options: Options) -> tuple[int, list[str]]:
    """Hold the state directory, the demonstration's apart from a real installation's; returns lock and notes."""
    if options.takeover:
        return -1, []
    lock = _claim(state_dir, held)
    if options.demo:
        try:
            require_demo(state_dir)
        except ForeignDirectoryError as error:
            raise StartError(str(error)) from error
    aside = None if options.demo else set_demo_aside(state_dir)
    if aside is None:
        return lock, []
    moved = f"the demonstration's keys, percent and records were moved to {aside}; {state_dir} begins anew"
    return _claim(state_dir, held), [moved]


def _open(role: Part, family: Family, notes: list[str]) -> str | None:
    """Open the ledger and compile the first snapshot; returns what is wrong when only a last good snapshot is left.

    A gateway of a fleet has neither.
    """
    if role == "gateway":
        return clear_fetched(family)
    state_dir, environment = family.state_dir, family.environment
    was_missing = not (state_dir / LEDGER_FILE).exists()
    remember(family)
    try:
        with closing(open_installation(state_dir, family.definitions, environment)) as installation:
            last_good = installation.last_good
            if last_good is not None and was_missing:
                notes.append("the ledger was missing: it was rebuilt from the last good snapshot, without its history")
            elif last_good is not None and installation.control.is_older_than(last_good):
                notes.append(OLD_COPY)
            if installation.ledger.read_only:
                message = f"another process is the writer of the ledger in {state_dir}; stop it first"
                raise StartError(message)
            installation.control.start(last_good)
            installation.control.keys.first_keys(lambda keys: _keep(state_dir, keys))
    except (LedgerError, ApiError) as error:
        if newest_snapshot(state_dir, master_keys(state_dir, environment, create=False)) is None:
            raise StartError(str(error)) from error
        return str(error)
    return None


def _keep(state_dir: Path, keys: FirstKeys) -> None:
    text = f"admin {keys.admin}\napplication {keys.app} {keys.application}\n"
    write(state_dir / FIRST_KEYS, text.encode(), 0o600)


def _demo_config(state_dir: Path, simulated: Mapping[str, socket.socket]) -> Path:
    for name, text in SIMULATIONS.items():
        write(state_dir / f"demo-{name}.toml", text.encode(), 0o644)
    path = state_dir / DEMO_CONFIG
    ports = [bound.getsockname()[1] for bound in simulated.values()]
    write(path, demo.configuration(*ports).encode(), 0o644)
    return path


def _overridden(server: Server, options: Options) -> Server:
    given = {"host": options.host, "port": options.port, "console_port": options.console_port}
    given |= {"metrics_port": options.metrics_port, "workers": options.workers}
    return replace(server, **{name: value for name, value in given.items() if value is not None})
