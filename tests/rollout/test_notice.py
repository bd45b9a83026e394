from __future__ import annotations

from msgspec.structs import replace

from rollout.notice import WHATS, Notice, Unannounced

ROLLED_BACK = Notice(what="rolled_back", words="errors: fail", at=7, rollout="sales", generation=2, step=3, mark="41")


def test_the_same_event_in_other_words_and_at_another_time_is_the_same() -> None:
    assert replace(ROLLED_BACK, words="errors failed", at=8, percent=0.0).identity == ROLLED_BACK.identity


def test_another_event_rollout_generation_step_or_mark_is_another() -> None:
    others = [
        replace(ROLLED_BACK, what="advanced"),
        replace(ROLLED_BACK, rollout="support"),
        replace(ROLLED_BACK, rollout=None),
        replace(ROLLED_BACK, generation=3),
        replace(ROLLED_BACK, step=4),
        replace(ROLLED_BACK, mark="42"),
    ]

    assert len({notice.identity for notice in (ROLLED_BACK, *others)}) == 7
    assert all(len(notice.identity) == 32 for notice in others)


def test_what_may_happen_is_a_closed_list() -> None:
    assert "controller_silent" in WHATS


def test_nobody_may_be_told() -> None:
    Unannounced().announce(ROLLED_BACK)
