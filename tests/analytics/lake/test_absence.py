from __future__ import annotations

from pathlib import Path

from analytics.journal.writer import Writer
from analytics.lake.absence import LONGEST_PAUSE_S, Absence


def test_pauses_grow_to_half_a_minute_and_are_the_usual_again_when_the_store_is_back(tmp_path: Path) -> None:
    absence = Absence(tmp_path, lambda *_: None, lambda: 0.0)
    pauses: list[float] = [absence.pause_s(1.0)]
    for _ in range(40):
        absence.go_on(OSError("away"))
        pauses.append(absence.pause_s(1.0))
    absence.end()

    assert pauses[0] == 1.0
    assert 1.5 <= pauses[1] <= 2.5
    assert all(0.75 * LONGEST_PAUSE_S <= pause <= 1.25 * LONGEST_PAUSE_S for pause in pauses[6:])
    assert len(set(pauses[6:])) > 1
    assert absence.pause_s(1.0) == 1.0


def test_a_long_usual_pause_never_gets_shorter(tmp_path: Path) -> None:
    absence = Absence(tmp_path, lambda *_: None, lambda: 0.0)
    absence.go_on(OSError("away"))

    assert absence.pause_s(3600.0) >= 0.75 * 3600


def test_each_refusal_is_said_with_what_waits_and_the_end_once(tmp_path: Path) -> None:
    said: list[tuple[str, dict[str, object]]] = []
    now = iter([10.0, 10.0, 15.0, 20.0])
    Writer(tmp_path, "w0", "b1").close()
    writer = Writer(tmp_path, "w0", "b2")
    absence = Absence(tmp_path, lambda _level, event, fields: said.append((event, fields)), lambda: next(now))
    absence.end()
    for _ in range(2):
        absence.go_on(OSError("no answer"))
    absence.end()
    absence.end()
    writer.close()

    assert [event for event, _ in said] == ["store_away", "store_away", "store_back"]
    assert [fields["away_s"] for _, fields in said] == [0.0, 5.0, 10.0]
    assert said[0][1]["reason"] == "no answer"
    assert said[0][1]["waiting_segments"] == len(list(tmp_path.glob("*.segment")))
