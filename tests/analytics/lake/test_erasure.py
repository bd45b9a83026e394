from __future__ import annotations

from pathlib import Path

import pytest

from analytics.lake.erasure import ELSEWHERE_S, LATE_S, Erasure, Erasures, ended, is_last_look, waiting
from tests.fakes.erasable_lake import ANN, ASKED_US, PSEUDONYM, erasure

LATE_US = ASKED_US + round(LATE_S * 1_000_000)
HOURS_LATER_US = ASKED_US + round(ELSEWHERE_S * 1_000_000)


def test_an_erasure_is_kept_for_its_owners_eyes(tmp_path: Path) -> None:
    erasures = Erasures(tmp_path / "erasures")
    assert erasures.every() == []
    erasures.keep(erasure("/lake", rewritten={"a": 2}))

    assert erasures.standing() == erasures.every() == [erasure("/lake", rewritten={"a": 2})]
    [path] = (tmp_path / "erasures").iterdir()
    assert (path.name, path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == ("e1.json", 0o600, 0o700)


def test_what_has_ended_has_counts_and_tells_of_nobody(tmp_path: Path) -> None:
    erasures = Erasures(tmp_path)
    over = ended(erasure("/lake", requests=3, files=2, rewritten={"a": 0}, waits_for=("s",)), ASKED_US + 9)
    erasures.keep(over)

    assert erasures.standing() == []
    assert erasures.every() == [
        Erasure(id="e1", lake="/lake", asked_at=ASKED_US, requests=3, files=2, ended_at=ASKED_US + 9)
    ]
    held = next(tmp_path.iterdir()).read_text()
    assert not [one for one in ("user_hash", "pseudonym", ANN.decode(), PSEUDONYM.decode()) if one in held]


def test_a_file_that_is_no_erasure_is_named(tmp_path: Path) -> None:
    (tmp_path / "e.json").write_text("{}")
    with pytest.raises(OSError, match=r"e\.json is no erasure"):
        Erasures(tmp_path).every()


def test_it_waits_for_the_segments_of_when_all_of_before_was_in_one() -> None:
    early = waiting(erasure("/lake"), ["s1"], LATE_US - 1, is_stopped=False)
    late = waiting(early, ["s1", "s2"], LATE_US, is_stopped=False)
    later = waiting(late, ["s3"], LATE_US + 1, is_stopped=False)

    assert (early.waits_for, late.waits_for, later.waits_for) == (None, ("s1", "s2"), ("s1", "s2"))
    assert waiting(erasure("/lake"), [], ASKED_US, is_stopped=True).waits_for == ()


def test_the_last_look_begins_when_these_are_gone() -> None:
    late = erasure("/lake", waits_for=("s1", "s2"))

    assert not is_last_look(erasure("/lake"), [], LATE_US, is_elsewhere=False)
    assert not is_last_look(late, ["s2", "s3"], LATE_US, is_elsewhere=False)
    assert is_last_look(late, ["s3"], LATE_US, is_elsewhere=False)


def test_what_other_hosts_may_have_is_waited_for_for_hours() -> None:
    late = erasure("/lake", waits_for=("s1",))

    assert not is_last_look(late, [], HOURS_LATER_US - 1, is_elsewhere=True)
    assert is_last_look(late, [], HOURS_LATER_US, is_elsewhere=True)
