from __future__ import annotations

from analytics.freshness import Freshness, HostFreshness, clock_time, summed_up

ASKED_AT = 1_790_000_000_000_000


def host(name: str, fresh_to: int | None, *, is_silent: bool = False) -> HostFreshness:
    return HostFreshness(host=name, fresh_to=fresh_to, is_silent=is_silent)


def test_an_answer_is_as_fresh_as_the_last_of_its_hosts() -> None:
    assert summed_up([host("a", ASKED_AT - 5), host("b", ASKED_AT - 9)], ASKED_AT).fresh_to == ASKED_AT - 9


def test_nothing_is_fresher_than_the_question_though_a_hosts_clock_is_ahead() -> None:
    assert summed_up([host("a", ASKED_AT + 5)], ASKED_AT) == Freshness(fresh_to=ASKED_AT, hosts=(host("a", ASKED_AT),))


def test_a_silent_host_does_not_hold_the_answer_back_but_is_warned_of() -> None:
    found = summed_up([host("a", ASKED_AT - 5), host("b", ASKED_AT - 3_600_000_000, is_silent=True)], ASKED_AT, ["x"])

    assert found.fresh_to == ASKED_AT - 5
    assert found.warnings[0] == "x"
    assert found.warnings[1].startswith("host b has told nothing since 2026-09-21 13:13:20 UTC: what it served after")


def test_where_all_hosts_are_silent_or_one_has_not_told_yet_it_is_said() -> None:
    silent = summed_up([host("a", ASKED_AT - 5, is_silent=True), host("b", None, is_silent=True)], ASKED_AT)

    assert summed_up([host("a", ASKED_AT - 5, is_silent=True)], ASKED_AT).fresh_to == ASKED_AT - 5
    assert (silent.fresh_to, silent.warnings[1][:29]) == (None, "host b has told nothing: what")
    assert summed_up([host("a", ASKED_AT), host("b", None)], ASKED_AT).fresh_to is None
    assert summed_up([], ASKED_AT).fresh_to is None


def test_a_moment_is_written_in_utc() -> None:
    assert clock_time(ASKED_AT) == "2026-09-21 14:13:20 UTC"
