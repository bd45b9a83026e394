from __future__ import annotations

import pytest

from analytics.figures import Difference, Figure
from analytics.satisfaction import RATIOS, ArmSatisfaction, Satisfaction
from gateway.cli.satisfied import write_satisfaction, write_satisfactions


def arm(satisfied: float | None, levels: dict[int, int]) -> ArmSatisfaction:
    shares = {name: Figure(value=satisfied, of=10) for name in RATIOS if name != "stars"}
    stars = Figure(value=4.25 if levels else None, of=4)
    return ArmSatisfaction(requests=30, users=9, answers=20, levels=levels, stars=stars, **shares)


def reported(base: ArmSatisfaction, candidate: ArmSatisfaction, **facts: object) -> Satisfaction:
    apart = dict.fromkeys(RATIOS, Difference(value=0.25, relative=1.0, ratio=2.0, low=0.1, high=0.4))
    known = {"rollout": "sales", "generation": 1, "as_of": 7, "first_at": 0, "last_at": 1_000_000}
    return Satisfaction(**{**known, "base": base, "candidate": candidate, "difference": apart, **facts})


def test_each_share_says_of_how_many_it_is_one(capsys: pytest.CaptureFixture[str]):
    write_satisfaction(reported(arm(0.25, {5: 3, 2: 1}), arm(0.5, {5: 1}), tags=("team=red",)))
    lines = capsys.readouterr().out.splitlines()
    words = {line[:35].strip(): line[35:].split() for line in lines}

    assert lines[0] == (
        "Rollout sales, generation 1, tag team=red: 60 requests, 1970-01-01 00:00:00Z to 1970-01-01 00:00:01Z"
    )
    assert words["answers that were rated"][:8] == ["25.0", "%", "of", "10", "50.0", "%", "of", "10"]
    assert words["answers that were rated"][8:] == ["+25.00", "points", "(+10.00", "to", "+40.00", "points)", "x2.000"]
    assert [words["5"], words["2"]] == [["3", "1"], ["1", "0"]]
    assert words["stars, on average"][:6] == ["4.25", "of", "4", "4.25", "of", "4"]


def test_a_part_leaves_out_what_nobody_said(capsys: pytest.CaptureFixture[str]):
    silent = reported(arm(None, {}), arm(None, {}), by="day", part="2026-11-22", first_at=None, last_at=None)
    write_satisfactions([silent], "day")
    said = capsys.readouterr().out

    assert said.startswith("day 2026-11-22: no request of a split user yet\n")
    assert "rated" not in said
    write_satisfactions([], "day")
    assert capsys.readouterr().out.startswith("no request of a split user yet\n")
