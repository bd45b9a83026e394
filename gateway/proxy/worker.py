"""One worker process: snapshot, journal, upstream and server put together, and taken apart again in order."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import cast

import msgspec
import uvicorn
import uvloop
from litestar import Litestar

from analytics.journal.syncer import Syncer
from analytics.journal.writer import Writer
from analytics.telemetry.known import tell_models
from gateway.proxy.app import Surface, create_app
from gateway.proxy.beginning import FIRST_SNAPSHOT_S, Channel, Copies, first_view
from gateway.proxy.capture import Contents
from gateway.proxy.connector import Http1Upstream
from gateway.proxy.drain import DrainingServer
from gateway.proxy.endpoint import Inference
from gateway.proxy.feedback import Feedbacks
from gateway.proxy.guard import GuardedProtocol
from gateway.proxy.lessee import Lessee
from gateway.proxy.ofrep import Evaluations
from gateway.proxy.page import PageFile
from gateway.proxy.queueing import Throttle
from gateway.proxy.rounds import Guard
from gateway.proxy.snapshot import Decisions, Holder
from gateway.proxy.tally import StatusTally
from gateway.proxy.unready import Unready, another_serves
from gateway.proxy.upstream import Upstream
from gateway.proxy.watch import ForceBase, SnapshotWatch
from gateway.settings.files import max_connections
from gateway.settings.last_good import LastGood
from gateway.settings.logs import set_level
from gateway.settings.schema import Server
from gateway.settings.secrets import Derived, derived, load_master
from gateway.settings.snapshot import Snapshot, unseal
from rollout.stores.ledger import LEDGER_FILE
from rollout.stores.reader import SnapshotReader

GRACE_S = 630
"""Longer than the longest total timeout that is the default (600 s): a stream may end before its worker does."""
REFRESH_S = 0.1
YOUNG_OBJECTS = 10_000
"""How many objects more than before make the garbage collector look: requests in flight are not garbage. Its own 700
cost a tenth of a request."""

_log = logging.getLogger("turnout.proxy")


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is told of its host: limits of connections, the limits of requests that it shares, whom to tell.

    `channel` is by what snapshots come; None: by the ledger's file in the state directory. A first one is waited for
    for `patience_s`. `lessee` makes what speaks for a fleet's host about its limits. `trace_share` is which share of
    the traces that begin here is sampled; None: none begins. `on_ready` is called once requests are accepted.
    """

    limits: Server
    throttle: Throttle
    channel: Channel | None = None
    patience_s: float = FIRST_SNAPSHOT_S
    lessee: Callable[[Holder], Lessee] | None = None
    trace_share: float | None = None
    on_ready: Callable[[], None] = lambda: None


def run(name: str, listener: socket.socket, state_dir: Path, environment: Mapping[str, str], place: Place) -> None:
    """Serve until SIGTERM or SIGINT, and drain.

    No other living process on this state directory has the same name: it names the status page and the last good copy.

    Raises:
        NoSnapshotError: neither the source nor a copy of the last good one gave a snapshot in time.
        SecretError: the master secret cannot be had.
    """
    keys = derived(load_master(state_dir, environment, secrets.token_bytes, create=False))
    boot = secrets.token_hex(8)
    writer = Writer(state_dir / "journal", name, boot)
    page_file = PageFile(state_dir / "run" / f"{name}.status", boot=boot, pid=os.getpid())
    tally = StatusTally(page_file.page)
    guard = Guard(place.limits, max_connections())
    try:
        with Syncer(writer), _decided(name, listener, state_dir, keys, environment, place) as holder:
            holder.change(trace_share=place.trace_share)
            lifespan = partial(
                _running,
                holder=holder,
                tally=tally,
                writer=writer,
                guard=guard,
                throttle=place.throttle,
                page_file=page_file,
            )
            surface = partial(_surface, holder=holder, writer=writer, tally=tally, throttle=place.throttle)
            uvloop.run(_serve(listener, surface, guard, lifespan, place.on_ready))
    finally:
        # The server ends by SystemExit.
        writer.close()
        tally.tell(writer)
        page_file.end()


@contextmanager
def _decided(
    name: str, listener: socket.socket, state_dir: Path, keys: Derived, environment: Mapping[str, str], place: Place
) -> Generator[Holder]:
    """Have a first snapshot, and threads that keep it up to date."""
    open_seal = partial(unseal, signing_key=keys.snapshot)

    def decide(snapshot: Snapshot) -> Decisions:
        decisions = Decisions(snapshot, derived=keys, environment=environment)
        tell_models(state_dir / "run", name, decisions.names())
        return decisions

    last_good = LastGood(state_dir / "run", name, open_seal)
    channel = place.channel or Channel(name="ledger", source=partial(SnapshotReader, state_dir / LEDGER_FILE))
    unready = Unready(listener, lambda: another_serves(state_dir / "run", name, time.time_ns() // 1000))
    try:
        holder = Holder(first_view(channel, last_good, decide, open_seal, place.patience_s, unready.tell))
    finally:
        unready.end()
    copies = Copies(last_good, channel.lake, open_seal)
    stop = threading.Event()
    watch = SnapshotWatch(channel.source(), holder, open_seal, decide, copies, name=channel.name)
    kill = ForceBase(state_dir, holder)
    kill.tick()
    threads = [
        threading.Thread(target=watch.run, args=(stop,), name="snapshot-watch", daemon=True),
        threading.Thread(target=kill.run, args=(stop,), name="force-base-watch", daemon=True),
    ]
    lessee = place.lessee(holder) if place.lessee is not None else None
    if lessee is not None:
        threads.append(threading.Thread(target=lessee.run, args=(stop,), name="lessee", daemon=True))
    for thread in threads:
        thread.start()
    try:
        yield holder
    finally:
        stop.set()
        if lessee is not None:
            lessee.end()
        for thread in threads:
            thread.join()


def _surface(upstream: Upstream, *, holder: Holder, writer: Writer, tally: StatusTally, throttle: Throttle) -> Surface:
    contents = Contents(writer, tally)
    inference = Inference(holder, upstream, writer, tally, throttle, contents)
    feedbacks = Feedbacks(holder, writer, contents, throttle)
    return Surface(holder, inference, feedbacks, Evaluations(holder, throttle))


async def _serve(
    listener: socket.socket,
    surface: Callable[[Upstream], Surface],
    guard: Guard,
    running: Callable[..., AbstractAsyncContextManager[None]],
    on_ready: Callable[[], None],
) -> None:
    upstream = Http1Upstream()
    config = uvicorn.Config(
        create_app(surface(upstream), [partial(running, upstream=upstream)]),
        http=cast("type[asyncio.Protocol]", partial(GuardedProtocol, guard)),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    await DrainingServer(config, on_ready).serve(sockets=[listener])


@asynccontextmanager
async def _running(
    _: Litestar,
    *,
    holder: Holder,
    tally: StatusTally,
    writer: Writer,
    guard: Guard,
    throttle: Throttle,
    page_file: PageFile,
    upstream: Upstream,
) -> AsyncGenerator[None]:
    """Keep the status page while requests are served; afterwards let go of what they used."""
    refreshing = asyncio.create_task(_refresh(holder, tally, writer, page_file), name="refresh-status")
    guarding = asyncio.create_task(guard.watch(), name="watch-connections")
    tending = asyncio.create_task(throttle.tend(), name="tend-limits")
    _spare_collections()
    try:
        yield
    finally:
        refreshing.cancel()
        guarding.cancel()
        tending.cancel()
        await upstream.close()


def _spare_collections() -> None:
    """Keep what lives as long as the worker out of every collection: one of them would stall all streams."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)


async def _refresh(holder: Holder, tally: StatusTally, writer: Writer, page_file: PageFile) -> None:
    while True:
        writer.tend()
        page_file.tend()
        tally.refresh(holder, writer)
        set_level(holder.view.decisions.snapshot.log_level)
        await asyncio.sleep(REFRESH_S)
