from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import duckdb
import pytest
from msgspec.structs import replace

from analytics.journal.status import StatusPage
from analytics.lake.directory import Directory
from analytics.lake.erasing import Erasing
from analytics.lake.erasure import ERASURES, Erasure, Erasures, ended
from analytics.lake.host import named_host
from analytics.lake.place import Place
from analytics.lake.presence import Reporter
from gateway.console.gathering import JOURNAL, Gathering
from gateway.console.installation import RUN
from gateway.console.measuring import UNKNOWN, BrokenOffError, EvidenceLostError
from tests.fakes.gate_rows import DAY_US, NOW, WINDOW, gate_row
from tests.fakes.handmade_lake import HandmadeLake


@pytest.fixture
def gathering(tmp_path: Path) -> Iterator[Gathering]:
    made = Gathering(Place(url=str(tmp_path / "lake")), tmp_path / "state" / "evidence.duckdb", clock=lambda: NOW)
    yield made
    made.close()


def test_an_empty_lake_says_nothing_of_a_step_and_nothing_of_the_week_before(gathering: Gathering, tmp_path: Path):
    assert not (tmp_path / "state").exists()
    gathering.fold()

    assert gathering.look(WINDOW).step == WINDOW.step
    assert sum(one.candidate for one in gathering.failing(WINDOW)) == 0
    assert gathering.references("chat", 2, NOW).latencies == UNKNOWN.latencies
    assert gathering.own_references(WINDOW) == {}
    assert gathering.weeks("chat", 2, NOW) == {}


def test_a_lake_that_is_away_is_said_with_its_place_and_its_remedy(gathering: Gathering, tmp_path: Path):
    (tmp_path / "lake").write_text("in the way")
    with pytest.raises(EvidenceLostError, match=r"lake/.* cannot be read \(Not a directory\); bring it back"):
        gathering.fold()


def test_what_refuses_is_said_and_asked_again_from_the_start(gathering: Gathering, tmp_path: Path):
    (tmp_path / "state").write_text("in the way")
    with pytest.raises(EvidenceLostError, match="state"):
        gathering.fold()

    (tmp_path / "state").unlink()
    gathering.fold()


@pytest.fixture
def lake(tmp_path: Path) -> HandmadeLake:
    return HandmadeLake(tmp_path / "lake")


@pytest.fixture
def page(tmp_path: Path) -> Iterator[StatusPage]:
    made = StatusPage.create(tmp_path / "state" / RUN / "w0.status", boot="b1", pid=os.getpid())
    yield made
    made.close()


def test_a_worker_whose_disk_refuses_raises_the_alarm(gathering: Gathering, page: StatusPage):
    assert not gathering.look(WINDOW).quality.disk_alarm
    page.change(journal_trouble=1)

    assert gathering.look(WINDOW).quality.disk_alarm


def test_frames_that_a_worker_lost_count_from_the_first_look_on_and_once(
    gathering: Gathering, page: StatusPage, lake: HandmadeLake, tmp_path: Path
):
    page.lost = 5
    assert gathering.look(WINDOW).quality.lost_rows == 0
    (tmp_path / "state" / JOURNAL).mkdir()
    name = named_host(tmp_path / "state" / JOURNAL)
    page.lost = 8
    Reporter(Directory(lake.root), name, tmp_path / "state" / RUN, lambda *_: None, lambda: NOW).tick()

    assert gathering.look(WINDOW).quality.lost_rows == 3


def test_users_who_are_erased_are_erased_from_the_evidence(gathering: Gathering, lake: HandmadeLake, tmp_path: Path):
    ann, nobody = b"ann-ann-ann-hash", b"nobody-knows-who"
    folder = tmp_path / "state" / ERASURES
    lake.put([gate_row(1, user_hash=ann), gate_row(2)])
    gathering.look(WINDOW)
    asked = Erasure(id="e1", lake=str(lake.root), asked_at=NOW, user_hash=ann, pseudonym=nobody, application="shop")
    erasing = Erasing(Directory(lake.root), tmp_path)
    looked = erasing.look(asked, Erasures(folder).keep, is_whole=True)
    erasing.close()
    Erasures(folder).keep(ended(looked, NOW))
    gathering.fold()
    assert gathering.look(WINDOW).quality.base_users == 2
    gathering.close()

    with duckdb.connect(str(tmp_path / "state" / "evidence.duckdb")) as connection:
        users = {user for (user,) in connection.execute("SELECT user_hash FROM evidence_user").fetchall()}
    assert users == {nobody, gate_row(2).user_hash}


def test_a_forecast_reads_the_lakes_whole_days_of_base(gathering: Gathering, lake: HandmadeLake):
    began_at = NOW // DAY_US * DAY_US
    rows = [gate_row(number, latency_ms=20.0 + number % 50) for number in range(2_000)]
    lake.put([replace(one, started_at=began_at - 4 * DAY_US + n * 200_000_000) for n, one in enumerate(rows)])

    found = gathering.weeks("chat", 2, NOW)

    assert {"errors", "p50", "p99"} <= found.keys()
    assert found["errors"].days >= 2


def test_what_is_broken_off_says_nothing_that_could_be_taken_for_a_reason_to_hold(
    gathering: Gathering, lake: HandmadeLake
):
    lake.put([gate_row(1)])
    gathering.fold()
    gathering.break_off()

    for ask in (gathering.fold, lambda: gathering.look(WINDOW), lambda: gathering.weeks("chat", 2, NOW)):
        with pytest.raises(BrokenOffError):
            ask()
    assert not issubclass(BrokenOffError, Exception)


def test_what_fails_because_it_is_broken_off_is_no_evidence_that_is_lost(tmp_path: Path):
    broken_off: list[Gathering] = []

    def asked() -> int:
        broken_off[0].break_off()
        message = "the lake is away"
        raise OSError(message)

    made = Gathering(Place(url=str(tmp_path / "lake")), tmp_path / "evidence.duckdb", clock=asked)
    broken_off.append(made)
    with pytest.raises(BrokenOffError):
        made.fold()
    made.close()


def test_closing_breaks_off_what_other_threads_ask(tmp_path: Path, lake: HandmadeLake):
    lake.put([gate_row(1)])
    asking, go_on = Event(), Event()

    def asked() -> int:
        asking.set()
        assert go_on.wait(20)
        return NOW

    made = Gathering(Place(url=str(lake.root)), tmp_path / "evidence.duckdb", clock=asked)
    with ThreadPoolExecutor() as threads:
        looked = threads.submit(made.look, WINDOW)
        assert asking.wait(20)
        closed = threads.submit(made.close)
        time.sleep(0.3)
        assert not closed.done()
        go_on.set()
        closed.result(20)
        looked.exception(20)

    with pytest.raises(BrokenOffError):
        made.look(WINDOW)
