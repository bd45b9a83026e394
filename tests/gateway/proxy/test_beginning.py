from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.proxy.beginning import Channel, NoSnapshotError, first_view
from gateway.proxy.snapshot import Decisions
from gateway.proxy.snapshot import Source as Name
from gateway.settings.built_in import NoBaseError
from gateway.settings.last_good import LAKE_FOLDER, LastGood
from gateway.settings.problem import SettingsError
from gateway.settings.schema import Application, SecretRef, Upstream
from gateway.settings.secrets import SecretError
from gateway.settings.snapshot import Snapshot, seal, unseal
from rollout.stores.ledger import StoreUnavailableError
from tests.fakes.proxy import SECRETS, snapshot


class Source:
    """A `SnapshotSource` that gives or raises one thing after the other, and then nothing."""

    def __init__(self, *given: bytes | Exception | None) -> None:
        self.given = list(given)
        self.closed = 0

    def poll(self) -> bytes | None:
        given = self.given.pop(0) if self.given else None
        if isinstance(given, Exception):
            raise given
        return given

    def close(self) -> None:
        self.closed += 1


def open_seal(sealed: bytes) -> Snapshot:
    return unseal(sealed, SECRETS.snapshot)


def decide(taken: Snapshot) -> Decisions:
    return Decisions(taken, SECRETS, {})


def sealed(**changes: Any) -> bytes:
    return seal(snapshot(**changes), SECRETS.snapshot)


def ledger(source: Source) -> Channel:
    return Channel(name="ledger", source=lambda: source)


def fleet(source: Source, lake: Path) -> Channel:
    return Channel(name="redis", source=lambda: source, lake=lake)


UNRESOLVABLE = {"one": Upstream(base_url="http://x/v1", api_key=SecretRef(env="MISSING"))}
UNAVAILABLE = StoreUnavailableError("ledger is locked")


def test_the_ledgers_snapshot_is_the_first_choice(tmp_path: Path):
    last_good = LastGood(tmp_path, "worker-0", open_seal)
    last_good.keep(sealed(version=99))
    source = Source(sealed())

    view = first_view(ledger(source), last_good, decide, open_seal)

    assert (view.decisions.label, view.source, view.fresh, view.killed) == ("1.7", "ledger", True, False)
    assert source.closed


@pytest.mark.parametrize(
    "given", [None, UNAVAILABLE, b"damaged" * 20, sealed(version=8, upstreams=UNRESOLVABLE)], ids=lambda _: ""
)
def test_without_it_the_last_good_one_serves(tmp_path: Path, given: bytes | Exception | None):
    last_good = LastGood(tmp_path, "worker-0", open_seal)
    last_good.keep(sealed())

    view = first_view(ledger(Source(given)), last_good, decide, open_seal)

    assert (view.decisions.label, view.source, view.fresh) == ("1.7", "last_good", False)


def test_without_either_the_first_to_come_is_waited_for(tmp_path: Path):
    source = Source(None, UNAVAILABLE, None, sealed())

    view = first_view(ledger(source), LastGood(tmp_path, "worker-0", open_seal), decide, open_seal)

    assert (view.decisions.label, view.source) == ("1.7", "ledger")


def test_what_was_missing_is_said_in_the_end(tmp_path: Path):
    last_good = LastGood(tmp_path, "worker-0", open_seal)

    with pytest.raises(NoSnapshotError, match="no snapshot to start with: ledger is locked"):
        first_view(ledger(Source(UNAVAILABLE)), last_good, decide, open_seal, patience_s=0.2)


def test_a_last_good_snapshot_that_needs_a_missing_secret_names_it(tmp_path: Path):
    last_good = LastGood(tmp_path, "worker-0", open_seal)
    last_good.keep(sealed(upstreams=UNRESOLVABLE))

    with pytest.raises(SecretError, match="MISSING is not set"):
        first_view(ledger(Source(UNAVAILABLE)), last_good, decide, open_seal)


def test_an_older_value_in_redis_does_not_turn_time_back(tmp_path: Path):
    last_good = LastGood(tmp_path, "worker-0", open_seal)
    last_good.keep(sealed(version=99))

    view = first_view(fleet(Source(sealed()), tmp_path / "lake"), last_good, decide, open_seal)

    assert (view.decisions.label, view.source, view.fresh) == ("1.99", "last_good", False)


@pytest.mark.parametrize(
    ("own", "left", "expected", "name"),
    [(None, 7, "1.7", "lake"), (6, 7, "1.7", "lake"), (7, 7, "1.7", "last_good"), (8, 7, "1.8", "last_good")],
)
def test_without_redis_the_newest_copy_serves_be_it_in_the_lake(
    tmp_path: Path, own: int | None, left: int, expected: str, name: Name
):
    (tmp_path / LAKE_FOLDER).mkdir()
    LastGood(tmp_path / LAKE_FOLDER, "console", open_seal).keep(sealed(version=left))
    last_good = LastGood(tmp_path, "worker-0", open_seal)
    if own is not None:
        last_good.keep(sealed(version=own))

    view = first_view(fleet(Source(UNAVAILABLE), tmp_path), last_good, decide, open_seal)

    assert (view.decisions.label, view.source, view.fresh) == (expected, name, False)


def base() -> Snapshot:
    return snapshot(epoch=0, version=0, keys=())


def refused() -> Snapshot:
    message = "no application has accept"
    raise NoBaseError(message)


def unlike_any() -> Snapshot:
    file = "turnout.toml"
    raise SettingsError(file, ())


def test_base_is_served_when_nothing_else_was_found_in_time_and_no_sooner(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    channel = replace(fleet(Source(UNAVAILABLE), tmp_path), built_in=base)
    last_good = LastGood(tmp_path, "worker-0", open_seal)
    began = time.monotonic()

    view = first_view(channel, last_good, decide, open_seal, patience_s=0.3)

    assert time.monotonic() - began >= 0.3
    assert (view.decisions.label, view.source, view.fresh) == ("0.0", "default", False)
    assert "everybody is served by base" in caplog.text


def test_a_snapshot_within_that_time_is_taken_instead(tmp_path: Path):
    channel = replace(fleet(Source(UNAVAILABLE, None, sealed()), tmp_path), built_in=base)

    view = first_view(channel, LastGood(tmp_path, "worker-0", open_seal), decide, open_seal)

    assert (view.decisions.label, view.source) == ("1.7", "redis")


def test_base_is_served_to_those_whose_keys_are_here_and_the_log_names_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    applications = {
        name: Application(accept=(SecretRef(env=variable),)) for name, variable in (("home", "HERE"), ("shop", "GONE"))
    }
    channel = replace(fleet(Source(UNAVAILABLE), tmp_path), built_in=lambda: replace(base(), applications=applications))

    def with_one_key(taken: Snapshot) -> Decisions:
        return Decisions(taken, SECRETS, {"HERE": "sk-here"})

    view = first_view(channel, LastGood(tmp_path, "w", open_seal), with_one_key, open_seal, patience_s=0.01)

    assert (caller := view.decisions.caller("sk-here")) is not None
    assert (caller.name, view.decisions.awaits_keys("sk-gone")) == ("home", True)
    [said] = [record for record in caplog.records if "callers who send it are refused" in record.message]
    assert (vars(said)["application"], "GONE is not set" in vars(said)["reason"]) == ("shop", True)
    with pytest.raises(SecretError, match="GONE is not set"):
        with_one_key(snapshot(applications=applications))


@pytest.mark.parametrize(
    ("built_in", "said"),
    [
        (refused, "ledger is locked; and no base without one: no application has accept"),
        (unlike_any, "and no base without one"),
        (lambda: snapshot(upstreams=UNRESOLVABLE), "and no base without one: .*MISSING is not set"),
    ],
)
def test_without_a_base_it_is_said_why(tmp_path: Path, built_in: Callable[[], Snapshot], said: str):
    channel = replace(fleet(Source(UNAVAILABLE), tmp_path), built_in=built_in)

    with pytest.raises(NoSnapshotError, match=said):
        first_view(channel, LastGood(tmp_path, "worker-0", open_seal), decide, open_seal, patience_s=0.01)
