from __future__ import annotations

from msgspec.structs import replace

from analytics.lake.beats import QUIET_S, SAME_BEAT_S, to_tell
from analytics.lake.layout import Heartbeat

AT = 1_790_000_000_000_000


def beat(worker: str, *, after_s: float = 0.0, last_seq: int = 1) -> Heartbeat:
    at = AT + round(after_s * 1_000_000)
    return Heartbeat(worker=worker, boot="b1", last_seq=last_seq, at=at, host="h", settled_to=1, fresh_to=at)


def test_in_a_directory_every_worker_tells_every_time() -> None:
    both = {"w0": beat("w0"), "w1": beat("w1")}

    assert to_tell(both, both, is_far=False) == ["w0", "w1"]


def test_far_away_those_tell_that_have_something_new_or_told_nothing_for_long() -> None:
    told = {"w0": beat("w0"), "w1": beat("w1", after_s=20)}
    now = {worker: beat(worker, after_s=SAME_BEAT_S) for worker in ("w0", "w1", "w2")}

    assert to_tell(now, told, is_far=True) == ["w0", "w2"]
    later = replace(beat("w1", after_s=21), sealed={1: 900})
    assert to_tell({"w1": later}, told, is_far=True) == ["w1"]


def test_far_away_a_host_that_has_nothing_new_has_one_worker_tell_every_few_seconds() -> None:
    told = {"w0": beat("w0", after_s=3), "w1": beat("w1", after_s=1)}

    def telling(after_s: float) -> list[str]:
        now = {worker: beat(worker, after_s=after_s) for worker in ("w0", "w1")}
        return list(to_tell(now, told, is_far=True))

    assert telling(3 + QUIET_S - 0.5) == []
    assert telling(3 + QUIET_S) == ["w1"]
    assert to_tell({}, told, is_far=True) == []
