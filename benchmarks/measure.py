"""The measurements: each drives one server (the rate: all at once) for one round and returns its figures by name."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import uvloop

from analytics.journal.syncer import Syncer
from analytics.journal.writer import Writer
from analytics.record import Attempt, Record, uuid7
from benchmarks.accounting import cpu_s, rss_bytes
from benchmarks.client import Tally, chat, connected
from benchmarks.servers import Server

Figures = Mapping[str, float]
"""Figures of one round; the end of a name is its unit."""

_SETTLE_S = 1.0
_CHUNKS = 100
_BURST_CONNECTIONS = 16
_CHUNKS_PER_S = 2000
"""For 50 open streams and for 1,000 alike, so that what differs is what an open stream costs."""
_RATE_PER_S = 100
_APPENDS_PER_S = 4000


def burst(server: Server, seconds: float) -> Figures:
    """Streams of 100 chunks that the upstream sends at once."""
    return uvloop.run(_burst(server, seconds))


def paced(server: Server, seconds: float, streams: int) -> Figures:
    """Cost of a chunk while `streams` are open, and the memory that each of them holds."""
    return uvloop.run(_paced(server, seconds, streams))


def rate(servers: Sequence[Server], seconds: float) -> Mapping[str, Figures]:
    """Waits at 100 requests a second to each server, taken in turn, so that all of them meet the same noise."""
    return uvloop.run(_rate(servers, seconds))


async def _burst(server: Server, seconds: float) -> Figures:
    tally, query = Tally(), f"?chunks={_CHUNKS}&every_ms=0"
    requests = [chat(server, user=user, query=query) for user in range(_BURST_CONNECTIONS)]
    callers = [await connected(server, request, tally, again=True) for request in requests]
    for caller in callers:
        caller.send()
    await asyncio.sleep(_SETTLE_S)
    whole, spent_s = tally.whole, cpu_s(server.pids)
    await asyncio.sleep(seconds)
    whole, spent_s = tally.whole - whole, cpu_s(server.pids) - spent_s
    for caller in callers:
        caller.close()
    return {"cpu_us": spent_s / max(whole, 1) * 1e6, "per_s": whole / seconds, "errors": tally.errors}


async def _paced(server: Server, seconds: float, streams: int) -> Figures:
    every_ms = 1000 * streams // _CHUNKS_PER_S
    tally, query = Tally(), f"?chunks=1000000&every_ms={every_ms}"
    await asyncio.sleep(_SETTLE_S)
    empty_bytes = rss_bytes(server.pids)
    callers = [await connected(server, chat(server, user=user, query=query), tally) for user in range(streams)]
    for caller in callers:
        caller.send()
        await asyncio.sleep(1.0 / streams)
    await asyncio.sleep(_SETTLE_S)
    held_bytes = rss_bytes(server.pids) - empty_bytes
    events, spent_s = tally.events, cpu_s(server.pids)
    await asyncio.sleep(seconds)
    events, spent_s = tally.events - events, cpu_s(server.pids) - spent_s
    figures = {
        "cpu_us": spent_s / max(events, 1) * 1e6,
        "stream_kib": held_bytes / streams / 1024,
        "errors": tally.errors + streams - tally.open,
    }
    for caller in callers:
        caller.close()
    await asyncio.sleep(_SETTLE_S)
    return figures


async def _rate(servers: Sequence[Server], seconds: float) -> Mapping[str, Figures]:
    tallies = {server.name: Tally() for server in servers}
    connections = 10
    turns = [
        [await connected(server, chat(server, user=user), tallies[server.name]) for server in servers]
        for user in range(connections)
    ]
    loop = asyncio.get_running_loop()
    started_at, step_s = loop.time(), 1.0 / _RATE_PER_S / len(servers)
    for number in range(round(seconds * _RATE_PER_S)):
        for place, caller in enumerate(turns[number % connections]):
            await asyncio.sleep(started_at + (number * len(servers) + place) * step_s - loop.time())
            caller.send()
    await asyncio.sleep(_SETTLE_S)
    for caller in (caller for turn in turns for caller in turn):
        caller.close()
    return {name: _waits(tally) for name, tally in tallies.items()}


def _waits(tally: Tally) -> Figures:
    return {"p50_us": quantile(tally.waits_us, 0.5), "p99_us": quantile(tally.waits_us, 0.99), "errors": tally.errors}


def appends(seconds: float) -> Figures:
    """Time that one append of a record takes, 4,000 a second, while another thread syncs every half second."""
    took_us: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        writer = Writer(Path(folder), "bench", "0")
        with Syncer(writer):
            ends_at = time.monotonic() + seconds
            while time.monotonic() < ends_at:
                for _ in range(_APPENDS_PER_S // 1000):
                    record = _record(writer.next_seq())
                    started_ns = time.perf_counter_ns()
                    writer.append(record)
                    took_us.append((time.perf_counter_ns() - started_ns) / 1e3)
                time.sleep(0.001)
        writer.close()
    return {
        "p50_us": quantile(took_us, 0.5),
        "p999_us": quantile(took_us, 0.999),
        "max_us": max(took_us),
        "errors": writer.lost,
    }


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of all are not above; 0 when there are none."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0.0


def _record(seq: int) -> Record:
    now_us = time.time_ns() // 1000
    attempt = Attempt(arm="base", model="m", upstream="mock", status=200, error_class=None, upstream_ms=1.0)
    return Record(
        request_id=uuid7(now_us, os.urandom(10)),
        seq=seq,
        started_at=now_us,
        outcome="ok",
        application="bench",
        endpoint="chat.completions",
        rollout="sales-companion",
        bucket=17,
        arm_assigned="base",
        arm_served="base",
        reason="split",
        user_hash=bytes(16),
        model_served="m",
        upstream="mock",
        attempts=[attempt],
        latency_ms=1.5,
        input_tokens=900,
        output_tokens=220,
        cost_usd=0.001,
        finish_reason="stop",
    )
