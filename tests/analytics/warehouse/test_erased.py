from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from msgspec.structs import replace

from analytics.lake.directory import Directory
from analytics.lake.erasing import Erasing
from analytics.lake.erasure import Erasure, Erasures, ended
from analytics.warehouse.evidence import Evidence
from tests.fakes.gate_rows import NOW, WINDOW, gate_row
from tests.fakes.handmade_lake import HandmadeLake

ANN, BOB, PSEUDONYM = b"ann-ann-ann-hash", b"bob-bob-bob-hash", b"nobody-knows-who"
ASKED_AT = gate_row(100).started_at


def filled(lake: HandmadeLake) -> None:
    users = (ANN, BOB)
    lake.put([gate_row(n, user_hash=users[n % 2], outcome=("ok", "timeout", "client_error")[n % 3]) for n in range(50)])
    lake.put([gate_row(n, user_hash=users[n % 2]) for n in range(90, 110)])
    lake.put_feedback(
        [
            {
                "feedback_id": "0199b0c0-0000-7000-8fff-000000000001",
                "received_at": gate_row(2).started_at,
                "application": "shop",
                "request_id": gate_row(2).request_id,
                "thumb": "down",
            }
        ]
    )


def erase(lake: HandmadeLake, folder: Path, scratch: Path, *, is_over: bool) -> None:
    """Erase Ann from the lake's files; with `is_over` in one go, so that nobody sees the erasure stand."""
    erasures = Erasures(folder)
    erasing = Erasing(Directory(lake.root), scratch)
    asked = Erasure(
        id="e1", lake=str(lake.root), asked_at=ASKED_AT, user_hash=ANN, pseudonym=PSEUDONYM, application="shop"
    )
    looked = erasing.look(asked, erasures.keep, is_whole=True)
    erasing.close()
    erasures.keep(ended(looked, NOW) if is_over else replace(looked, looked_at=NOW))


def users_in(evidence: Evidence) -> set[bytes]:
    tables = ("user", "user_day", "failure", "rated", "recent")
    question = " UNION ALL ".join(f"SELECT user_hash FROM evidence_{table}" for table in tables)
    return {user for (user,) in evidence.connection.execute(question).fetchall()}


@pytest.mark.parametrize("is_over", [False, True], ids=["seen to stand", "come and gone"])
def test_who_is_erased_from_the_lake_is_erased_from_the_sums(lake, tmp_path, is_over):
    filled(lake)
    folder = tmp_path / "erasures"
    path = tmp_path / "evidence.duckdb"
    evidence = Evidence(path, Directory(lake.root), clock=lambda: NOW, erasures=folder)
    before = evidence.look(WINDOW)
    assert users_in(evidence) == {ANN, BOB}

    erase(lake, folder, tmp_path, is_over=is_over)
    evidence.fold()
    after = evidence.look(WINDOW)

    assert users_in(evidence) == {ANN, BOB, PSEUDONYM}
    [(ann,)] = evidence.connection.execute("SELECT gate_n FROM evidence_user WHERE user_hash = ?", [ANN]).fetchall()
    assert ann == len([n for n in range(101, 110) if n % 2 == 0])
    assert after.checks["errors"].base.events == before.checks["errors"].base.events
    assert after.checks["satisfaction"].base.requests == 1
    evidence.close()
    rebuilt = Evidence(tmp_path / "rebuilt.duckdb", Directory(lake.root), clock=lambda: NOW, erasures=folder)
    assert rebuilt.look(WINDOW) == after
    rebuilt.close()


def test_the_hash_of_who_is_erased_is_kept_no_longer_than_the_erasure_stands(lake, tmp_path):
    lake.put([gate_row(1, user_hash=ANN), gate_row(2, user_hash=BOB)])
    folder = tmp_path / "erasures"
    evidence = Evidence(tmp_path / "evidence.duckdb", Directory(lake.root), clock=lambda: NOW, erasures=folder)
    evidence.look(WINDOW)
    erase(lake, folder, tmp_path, is_over=False)
    evidence.fold()
    erase(lake, folder, tmp_path, is_over=True)
    evidence.fold()
    evidence.close()

    with duckdb.connect(str(tmp_path / "evidence.duckdb")) as connection:
        assert connection.execute("SELECT user_hash FROM evidence_erasure").fetchall() == [(None,)]
        assert connection.execute("SELECT count(*) FROM evidence_user").fetchall() == [(2,)]


def test_an_erasure_that_cannot_be_read_is_asked_for_again(lake, tmp_path):
    folder = tmp_path / "erasures"
    folder.mkdir()
    (folder / "e1.json").write_text("no erasure")
    evidence = Evidence(tmp_path / "evidence.duckdb", Directory(lake.root), clock=lambda: NOW, erasures=folder)

    for _ in range(2):
        with pytest.raises(OSError, match="no erasure of this version"):
            evidence.fold()
    evidence.close()
