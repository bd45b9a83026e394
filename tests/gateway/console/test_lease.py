from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from gateway.console.lease import DEAD_S, GRACE_S, LEASE_S, MARK, Holder, Lease, this_console
from rollout.stores.ledger import StoreUnavailableError


class Shared:
    """A `LeaseStore` whose leases never end by themselves."""

    def __init__(self) -> None:
        self.value: bytes | None = None
        self.is_away = False
        self.taken_by: bytes | None = None

    def leased(self) -> bytes | None:
        self._require()
        return self.value

    def lease(self, value: bytes, for_s: float, *, anew: bool) -> bool:
        self._require()
        if anew and self.taken_by is not None:
            self.value, self.taken_by = self.taken_by, None
        if anew and self.value is not None:
            return False
        self.value = value if for_s >= 1 else None
        return True

    def _require(self) -> None:
        if self.is_away:
            message = "Redis is away"
            raise StoreUnavailableError(message)


class Console:
    def __init__(self, store: Shared, folder: Path, name: str = "a", life: str = "1") -> None:
        self.now = 100.0
        self.mark = folder / f"{name}-{MARK}"
        holder = Holder(console=name, life=life, host=f"host-{name}", process=7, directory="/state")
        self.lease = Lease(store, holder, self.mark, clock=lambda: self.now, wall_us=lambda: int(self.now * 1e6))

    def look(self, after_s: float = 0.0) -> bool:
        self.now += after_s
        return self.lease.look()


@pytest.fixture
def store() -> Shared:
    return Shared()


@pytest.fixture
def a(store: Shared, tmp_path: Path) -> Console:
    return Console(store, tmp_path)


@pytest.fixture
def b(store: Shared, tmp_path: Path) -> Console:
    return Console(store, tmp_path, "b")


def test_who_looks_first_is_the_writer_and_renews_it(store: Shared, a: Console, b: Console):
    assert "takes over within 5 s" in (a.lease.refusal() or "")
    assert a.look()
    first = store.value
    assert not b.look()
    assert a.look(1)
    assert store.value != first

    assert (a.lease.is_writer, a.lease.refusal()) == (True, None)
    assert (b.lease.is_writer, a.mark.exists(), b.mark.exists()) == (False, True, False)
    assert "process 7 on host host-a, state directory /state" in (b.lease.refusal() or "")


def test_after_a_flush_the_holder_has_it_again_and_another_waits(store: Shared, a: Console, b: Console):
    a.look()
    b.look()
    store.value = None

    assert not b.look(1)
    assert not b.look(GRACE_S - 0.1)
    assert a.look(1)
    assert not b.look(GRACE_S)


def test_what_was_free_for_a_while_is_taken(store: Shared, a: Console, b: Console):
    a.look()
    b.look()
    store.value = None
    b.look(1)

    assert b.look(GRACE_S)
    assert not a.look(LEASE_S)
    assert not a.lease.is_writer
    assert not a.mark.exists()


def test_a_lease_that_nobody_renews_ends_though_it_stays(a: Console, b: Console):
    a.look()
    b.look()

    assert not b.look(DEAD_S)
    assert not b.look(0.1)
    assert b.look(GRACE_S)


@pytest.mark.parametrize("value", [b"", b"x", b"{}", b"\xff", b'{"console": 1}'])
def test_what_is_no_lease_is_replaced(value: bytes, store: Shared, a: Console):
    store.value = value

    assert a.look()


def test_of_two_that_find_it_free_one_is_faster(store: Shared, a: Console, b: Console):
    a.look()
    store.value, store.taken_by = None, store.value

    assert not b.look()
    assert not b.look()
    assert b.lease.refusal() is not None


def test_the_same_console_goes_on_at_once_after_a_crash(store: Shared, a: Console, tmp_path: Path):
    a.look()

    again = Console(store, tmp_path, life="2")

    assert again.lease.is_writer
    assert again.look()
    assert not a.look(1)


def test_while_redis_is_away_the_last_holder_takes_changes_and_another_does_not(
    store: Shared, a: Console, b: Console, tmp_path: Path
):
    a.look()
    store.is_away = True
    again = Console(store, tmp_path, life="2")
    for one in (a, b, again):
        with pytest.raises(StoreUnavailableError):
            one.look()

    assert (a.lease.refusal(), again.lease.refusal()) == (None, None)
    assert "until it can ask whether another one writes for this fleet: Redis is away" in (b.lease.refusal() or "")


def test_it_gives_back_what_it_has_and_nothing_else(store: Shared, a: Console, b: Console):
    a.look()
    b.look()
    held = store.value
    b.lease.release()
    assert store.value == held

    store.is_away = True
    a.lease.release()
    store.is_away = False
    assert store.value == held

    a.lease.release()
    assert store.value is None
    a.lease.release()


def test_a_console_is_known_by_its_host_and_state_directory(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()

    first, again = this_console(tmp_path / "a", "1"), this_console(tmp_path / "b/../a", "2")

    assert first.console == again.console
    assert first.console != this_console(tmp_path / "b", "1").console
    assert msgspec.json.decode(msgspec.json.encode(first), type=Holder) == first
    assert str(tmp_path / "a") in str(first)
