"""A second console that was started by mistake is read-only, and whatever it left behind locks nobody out."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from gateway.settings.secrets import derived
from gateway.settings.snapshot import seal, unseal
from rollout.stores.redis import KEY
from tests.acceptance.fleet import Fleet, fleet
from tests.acceptance.harness import SECRET, Installation, until
from tests.fakes.redis_server import redis_server

PERCENT = "rollouts/sales-companion/percent"


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with redis_server() as redis, fleet(tmp_path_factory.mktemp("fleet"), redis) as made:
        gateways = [made.add(name, "gateway", is_waited_for=False) for name in ("north", "south")]
        made.add("console", "console")
        for gateway in gateways:
            made.wait_until_ready(gateway)
        yield made


def said(host: Installation, event: str) -> int:
    return sum(line["event"].startswith(event) for line in host.log())


def in_force(one: Fleet, percent: float) -> None:
    one.wait_for(one.put_percent(percent))


def test_a_second_console_is_read_only_and_when_it_is_gone_the_first_goes_on_even_after_a_flush(one: Fleet):
    in_force(one, 40)
    second = one.add("second", "console")

    refused = second.ask("PUT", PERCENT, {"percent": 90, "version": second.show()["version"]})
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "read_only_console")
    assert "another one writes for this fleet" in refused.json()["error"]["message"]
    assert any("another one writes" in warning for warning in second.show()["warnings"])
    assert second.ask("GET", "status").json()["read_only"]
    assert said(second, "read-only: another console") == 1
    in_force(one, 41)

    one.end(second)
    in_force(one, 42)
    one.redis.ask("FLUSHALL")
    in_force(one, 0)


@pytest.mark.parametrize(("epoch", "overwritten"), [(9, False), (19, True)])
def test_gateways_that_have_seen_a_later_snapshot_than_anybody_else_knows_of_are_not_locked_out(
    epoch: int, one: Fleet, *, overwritten: bool
):
    in_force(one, 30)
    first = one.console
    console = first.pid("console")
    os.kill(console, signal.SIGSTOP)
    try:
        later = foreign(one.redis.ask("GET", KEY), epoch)
        one.redis.ask("SET", KEY, later)
        one.wait_for(f"{epoch}.1")
        until(lambda: all(b'"snapshot_epoch":%d,' % epoch in told for told in told_by_hosts(one)), "hosts tell of it")
        one.redis.ask("SET", KEY, later[::-1]) if overwritten else one.redis.ask("FLUSHALL")
    finally:
        os.kill(console, signal.SIGCONT)

    until(lambda: first.show()["snapshot"].startswith(f"{epoch + 1}."), "the epoch is raised")
    in_force(one, 0)


def test_while_redis_is_away_a_change_is_taken_and_said_to_wait(one: Fleet):
    in_force(one, 20)
    console = one.console
    one.redis.end()
    try:
        until(lambda: console.ask("GET", "status").json()["undistributed"] is not None, "Redis is known to be away")
        change = console.turnout("rollout", "set", "sales-companion", "0")
        listed = console.turnout("rollout", "list")
    finally:
        one.redis.start()

    assert change.returncode == 0, change.stderr
    assert "as soon as this is over: Redis at" in change.stdout
    assert "changes do not reach the gateways" in listed.stderr
    one.wait_for(console.show()["snapshot"])
    until(lambda: console.show()["undistributed"] is None, "nothing waits any more")


def foreign(sealed: bytes, epoch: int) -> bytes:
    """Return the same snapshot as another console of this installation would have published it."""
    key = derived(SECRET.encode()).snapshot
    return seal(replace(unseal(sealed, key), epoch=epoch, version=1), key)


def told_by_hosts(one: Fleet) -> list[bytes]:
    files = list((one.folder / "lake/incoming/hosts").glob("*.json"))
    return [file.read_bytes() for file in files]
