from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.proxy.beginning import Copies
from gateway.proxy.snapshot import Decisions, Holder, View
from gateway.proxy.watch import STALE_S, ForceBase, SnapshotWatch
from gateway.settings.last_good import LAKE_FOLDER, LastGood
from gateway.settings.schema import SecretRef, Upstream
from gateway.settings.snapshot import Snapshot, seal, unseal
from rollout.stores.ledger import LEDGER_FILE, StoreUnavailableError
from rollout.stores.reader import SnapshotReader
from rollout.stores.sqlite import open_ledger
from tests.fakes.console import SALES, opened, secrets_of
from tests.fakes.ledger import ticking
from tests.fakes.proxy import SECRETS, decisions, snapshot


class Source:
    """A `SnapshotSource` that returns or raises what the test puts in."""

    def __init__(self) -> None:
        self.next: bytes | Exception | None = None

    def poll(self) -> bytes | None:
        given, self.next = self.next, self.next if isinstance(self.next, Exception) else None
        if isinstance(given, Exception):
            raise given
        return given

    def close(self) -> None:
        pass


class Watched:
    """A watch over a source, with a clock that the test moves."""

    def __init__(self, folder: Path) -> None:
        self.source = Source()
        self.now = 100.0
        self.holder = Holder(View(decisions=decisions(), source="last_good", fresh=False))
        self.last_good = LastGood(folder, "worker-0", open_seal)
        self.copies = Copies(self.last_good, folder / "lake", open_seal)
        self.watch = SnapshotWatch(self.source, self.holder, open_seal, decided, self.copies, lambda: self.now)

    def tick(self, given: bytes | Exception | None = None, *, after_s: float = 0.1) -> View:
        self.now += after_s
        self.source.next = given
        self.watch.tick()
        return self.holder.view


def open_seal(sealed: bytes) -> Snapshot:
    return unseal(sealed, SECRETS.snapshot)


def decided(taken: Snapshot) -> Decisions:
    return Decisions(taken, SECRETS, {})


def sealed(**changes: Any) -> bytes:
    return seal(snapshot(**changes), SECRETS.snapshot)


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def events(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records]


UNAVAILABLE = StoreUnavailableError("ledger is locked")


def test_a_newer_snapshot_is_taken_and_kept(watched: Watched):
    view = watched.tick(sealed(version=8))

    assert (view.decisions.label, view.source, view.fresh) == ("1.8", "ledger", True)
    kept = watched.last_good.newest()
    assert kept is not None
    assert kept.order == (1, 8)


def test_the_same_version_is_taken_as_the_ledgers_word(watched: Watched):
    view = watched.tick(sealed())

    assert (view.decisions.label, view.source, view.fresh) == ("1.7", "ledger", True)


def test_a_higher_epoch_is_newer_whatever_its_version(watched: Watched):
    assert watched.tick(sealed(epoch=2, version=1)).decisions.label == "2.1"
    assert watched.tick(sealed(epoch=1, version=99)).decisions.label == "2.1"


@pytest.mark.parametrize(
    "given",
    [
        sealed(version=6),
        sealed(epoch=0, version=99),
        b"",
        b"x" * 200,
        sealed(version=8)[:-1],
        seal(snapshot(version=8), b"another installation's key......"),
        sealed(version=8, schema=99),
    ],
)
def test_a_snapshot_that_is_older_or_not_ours_is_refused_and_said_once(
    watched: Watched, caplog: pytest.LogCaptureFixture, given: bytes
):
    watched.tick(sealed())

    for _ in range(3):
        assert watched.tick(given).decisions.label == "1.7"
    watched.tick()

    assert events(caplog) == ["snapshot source in trouble; the last good snapshot stays"]


def test_a_refused_snapshot_makes_the_view_stale_until_a_good_one_comes(
    watched: Watched, caplog: pytest.LogCaptureFixture
):
    watched.tick(sealed())
    watched.tick(sealed(version=6))
    assert not watched.tick(after_s=STALE_S + 1).fresh

    view = watched.tick(sealed(version=9))

    assert (view.fresh, view.decisions.label) == (True, "1.9")
    assert events(caplog)[-1] == "snapshot source answers again"


def test_a_refused_snapshot_is_read_once_however_long_it_stands_there(watched: Watched):
    read: list[bytes] = []

    def reading(given: bytes) -> Snapshot:
        read.append(given)
        return open_seal(given)

    watched.watch = SnapshotWatch(
        watched.source, watched.holder, reading, decided, watched.copies, lambda: watched.now, name="redis"
    )
    watched.tick(b"poison" * 20)
    for _ in range(5):
        watched.tick()

    assert len(read) == 1
    assert watched.tick(sealed(version=9)).source == "redis"


def test_a_secret_that_cannot_be_resolved_keeps_the_last_good_until_it_can(
    watched: Watched, caplog: pytest.LogCaptureFixture, tmp_path: Path
):
    file = tmp_path / "late"
    upstreams = {"one": Upstream(base_url="http://x/v1", api_key=SecretRef(file=str(file)))}
    watched.tick(sealed())
    assert watched.tick(sealed(version=8, upstreams=upstreams)).decisions.label == "1.7"
    assert watched.tick().decisions.label == "1.7"

    file.write_text("sk-late")

    assert watched.tick().decisions.label == "1.8"
    assert [record.__dict__["reason"] for record in caplog.records[:1]] == [
        f"secret file {file} cannot be read: No such file or directory"
    ]
    assert events(caplog)[-1] == "snapshot source answers again"


def test_a_newer_snapshot_takes_the_place_of_one_that_was_refused(watched: Watched):
    watched.tick(sealed(version=8, upstreams={"one": Upstream(base_url="x", api_key=SecretRef(env="NO"))}))

    assert watched.tick(sealed(version=9)).decisions.label == "1.9"
    assert watched.tick().decisions.label == "1.9"


def test_a_silent_source_makes_assignments_stale_only_after_a_while(watched: Watched):
    watched.tick(sealed())

    assert watched.tick(UNAVAILABLE).fresh
    assert watched.tick(UNAVAILABLE, after_s=STALE_S - 0.5).fresh
    assert not watched.tick(UNAVAILABLE, after_s=1.0).fresh
    assert watched.holder.view.decisions.label == "1.7"
    assert watched.tick().fresh


def test_trouble_is_said_once_each_and_its_end_too(watched: Watched, caplog: pytest.LogCaptureFixture):
    for given in (UNAVAILABLE, UNAVAILABLE, StoreUnavailableError("ledger is damaged"), None, None, UNAVAILABLE):
        watched.tick(given)

    assert events(caplog) == [
        "snapshot source in trouble; the last good snapshot stays",
        "snapshot source in trouble; the last good snapshot stays",
        "snapshot source answers again",
        "snapshot source in trouble; the last good snapshot stays",
    ]


def test_a_copy_that_cannot_be_kept_stops_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    watched = Watched(tmp_path / "missing")

    assert watched.tick(sealed(version=8)).decisions.label == "1.8"
    assert events(caplog) == ["last good snapshot not kept"]


def until(is_so: Callable[[], bool]) -> None:
    given_up_at = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < given_up_at
        time.sleep(0.005)


@pytest.fixture
def stop() -> Iterator[threading.Event]:
    stopped = threading.Event()
    yield stopped
    stopped.set()


def test_the_watching_thread_outlives_a_fault_of_our_own(
    watched: Watched, caplog: pytest.LogCaptureFixture, stop: threading.Event
):
    watched.source.next = ZeroDivisionError()
    thread = threading.Thread(target=watched.watch.run, args=(stop,))
    thread.start()
    until(lambda: "snapshot watch failed; the last good snapshot stays" in events(caplog))

    watched.source.next = sealed(version=8)

    until(lambda: watched.holder.view.decisions.label == "1.8")
    stop.set()
    thread.join()


def test_a_change_in_a_real_ledger_is_seen_and_its_loss_survived(tmp_path: Path):
    keys = secrets_of(tmp_path)

    def unsealed(given: bytes) -> Snapshot:
        return unseal(given, keys.snapshot)

    holder = Holder(View(decisions=decisions(epoch=0), source="last_good", fresh=False))
    last_good = LastGood(tmp_path, "worker-0", unsealed)
    reader = SnapshotReader(tmp_path / LEDGER_FILE)
    watch = SnapshotWatch(
        reader, holder, unsealed, lambda taken: Decisions(taken, keys, {}), Copies(last_good, None, unsealed)
    )
    with opened(tmp_path) as control:
        watch.tick()
        assert holder.view.decisions.snapshot.rollouts[SALES].flag.percent == 0.0
        control.set_percent(SALES, 25, 1, actor="ops")
        watch.tick()
        assert holder.view.decisions.snapshot.rollouts[SALES].flag.percent == 25.0

    for spoil in (LEDGER_FILE, f"{LEDGER_FILE}-wal", f"{LEDGER_FILE}-shm"):
        (tmp_path / spoil).unlink(missing_ok=True)
    watch.tick()
    (tmp_path / LEDGER_FILE).write_bytes(b"not a ledger" * 1000)
    watch.tick()

    reader.close()
    kept = last_good.newest()
    assert kept is not None
    assert holder.view.decisions.snapshot.order == kept.order == (1, 2)


def test_a_ledger_that_was_replaced_by_an_older_one_turns_no_time_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    keys = secrets_of(tmp_path)
    with opened(tmp_path) as control:
        old = b"".join(sqlite_dump(tmp_path))
        control.set_percent(SALES, 25, 1, actor="ops")
    holder = Holder(View(decisions=decisions(epoch=0), source="last_good", fresh=False))
    reader = SnapshotReader(tmp_path / LEDGER_FILE)
    watch = SnapshotWatch(
        reader,
        holder,
        lambda given: unseal(given, keys.snapshot),
        lambda taken: Decisions(taken, keys, {}),
        Copies(LastGood(tmp_path, "worker-0", open_seal), None, open_seal),
    )
    watch.tick()

    (tmp_path / LEDGER_FILE).unlink()
    (tmp_path / LEDGER_FILE).write_bytes(old)
    watch.tick()
    watch.tick()

    reader.close()
    assert holder.view.decisions.label == "1.2"
    assert events(caplog) == ["snapshot source in trouble; the last good snapshot stays"]
    assert caplog.records[0].__dict__["reason"] == "snapshot 1.1 is older than 1.2; refused"


def sqlite_dump(state_dir: Path) -> list[bytes]:
    """Return the ledger's file as it is now, whole."""
    copy = state_dir / "copy.sqlite"
    with sqlite3.connect(state_dir / LEDGER_FILE) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    source.close()
    target.close()
    return [copy.read_bytes()]


def test_a_ledger_without_a_snapshot_leaves_everything_as_it_is(tmp_path: Path):
    open_ledger(tmp_path, clock=ticking()).close()
    watched = Watched(tmp_path)
    reader = SnapshotReader(tmp_path / LEDGER_FILE)

    SnapshotWatch(reader, watched.holder, open_seal, decided, watched.copies).tick()

    reader.close()
    assert watched.holder.view.decisions.label == "1.7"


def test_force_base_follows_its_file(tmp_path: Path, watched: Watched, caplog: pytest.LogCaptureFixture):
    kill = ForceBase(tmp_path, watched.holder)
    kill.tick()
    assert not watched.holder.view.killed

    (tmp_path / "force-base").touch()
    kill.tick()
    kill.tick()
    assert watched.holder.view.killed

    (tmp_path / "force-base").unlink()
    kill.tick()
    assert not watched.holder.view.killed
    assert events(caplog) == ["force-base is on: every user is served by base", "force-base is off"]


def test_a_link_that_leads_nowhere_forces_base_too(tmp_path: Path, watched: Watched):
    (tmp_path / "force-base").symlink_to(tmp_path / "nowhere")

    ForceBase(tmp_path, watched.holder).tick()

    assert watched.holder.view.killed


def test_force_base_stays_while_nobody_can_tell(tmp_path: Path, watched: Watched):
    folder = tmp_path / "state"
    folder.mkdir()
    (folder / "force-base").touch()
    kill = ForceBase(folder, watched.holder)
    kill.tick()

    folder.rename(tmp_path / "moved")
    folder.write_text("no folder any more")
    kill.tick()

    assert watched.holder.view.killed


def test_force_base_acts_while_the_snapshot_source_hangs(tmp_path: Path, watched: Watched, stop: threading.Event):
    threads = [
        threading.Thread(target=ForceBase(tmp_path, watched.holder).run, args=(stop,)),
        threading.Thread(target=stop.wait, args=(20,)),
    ]
    for thread in threads:
        thread.start()

    (tmp_path / "force-base").touch()

    until(lambda: watched.holder.view.killed)
    stop.set()
    for thread in threads:
        thread.join()


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "turnout.proxy")


def at_base(watched: Watched) -> None:
    watched.holder.change(decisions=decisions(epoch=0, version=0, keys=()), source="default", fresh=False)


def leave(folder: Path, **changes: Any) -> None:
    (folder / "lake" / LAKE_FOLDER).mkdir(parents=True)
    LastGood(folder / "lake" / LAKE_FOLDER, "console", open_seal).keep(sealed(**changes))


def test_whatever_snapshot_comes_takes_the_place_of_the_built_in_base(watched: Watched):
    at_base(watched)

    view = watched.tick(sealed(version=1))

    assert (view.decisions.label, view.source) == ("1.1", "ledger")


def test_a_copy_that_turns_up_does_so_while_the_source_is_still_away(
    watched: Watched, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    at_base(watched)
    assert watched.tick(UNAVAILABLE).source == "default"

    leave(tmp_path, version=8)
    view = watched.tick(UNAVAILABLE)

    assert (view.decisions.label, view.source, view.fresh) == ("1.8", "lake", False)
    assert "a copy of the last good snapshot was found; it is in force" in events(caplog)
    assert watched.tick(sealed(version=9)).source == "ledger"


def test_a_copy_that_lacks_a_secret_is_said_once_and_base_stays(
    watched: Watched, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    at_base(watched)
    leave(tmp_path, upstreams={"one": Upstream(base_url="http://x/v1", api_key=SecretRef(env="MISSING"))})

    assert [watched.tick(UNAVAILABLE).source for _ in range(3)] == ["default"] * 3
    assert events(caplog).count("a copy of the last good snapshot cannot be used") == 1


def test_where_a_snapshot_is_in_force_no_copy_is_looked_for(watched: Watched, tmp_path: Path):
    leave(tmp_path, version=99)

    assert watched.tick(UNAVAILABLE).decisions.label == "1.7"
