from __future__ import annotations

import msgspec
import pytest

from analytics.comparison import ArmFigures, Arms, Comparison, LeftOut
from analytics.figures import Difference, Figure
from analytics.freshness import UNKNOWN
from gateway.cli.compared import write_comparison, write_comparisons

NOTHING = Figure(value=None, of=0)


def arm(requests: int, **facts: object) -> ArmFigures:
    kept = {field.name: NOTHING for field in msgspec.structs.fields(ArmFigures) if field.type is Figure}
    plain = {"model": None, "users": requests, "errors": 0, "total_cost_usd": None, "cost_unknown": 0, "ratings": 0}
    return ArmFigures(**{**kept, **plain, "requests": requests, **facts})


def compared(base: ArmFigures, candidate: ArmFigures, **facts: object) -> Comparison:
    known = dict.fromkeys(Comparison.__struct_fields__)
    names = [field.name for field in msgspec.structs.fields(ArmFigures) if field.type is Figure]
    difference = {name: Difference(value=None, relative=None) for name in names}
    known |= {"rollout": "sales", "generation": 1, "endpoints": {}, "tags": (), "purpose": "live", "forced": False}
    known |= {"base": base, "candidate": candidate, "difference": difference, "first_at": 0, "last_at": 1_000_000}
    left = LeftOut(forced=0, without_user=0, not_live=0)
    return Comparison(**{**known, "as_of": 7, "left_out": left, "freshness": UNKNOWN, **facts})


def test_the_first_line_says_to_what_the_table_is_narrowed(capsys: pytest.CaptureFixture[str]):
    narrowed = {"step": 2, "application": "shop", "tags": ("team=red",), "purpose": "eval", "forced": True}
    write_comparison(compared(arm(3), arm(1), **narrowed, left_out=LeftOut(forced=0, without_user=0, not_live=5)))
    said = capsys.readouterr().out

    assert said.startswith(
        "Rollout sales, generation 1, step 2, application shop, tag team=red, purpose eval, with pinned users: "
        "4 requests, 1970-01-01 00:00:00Z to 1970-01-01 00:00:01Z\n"
    )
    assert "left out: requests 5 made for other purposes\n" in said


def test_failures_stand_below_their_sum_the_most_frequent_first(capsys: pytest.CaptureFixture[str]):
    rate = Figure(value=0.03, of=100)
    base = arm(100, errors=3, error_rate=rate, failures={"timeout": 2, "http_500": 1})
    write_comparison(compared(base, arm(50, error_rate=Figure(value=0.2, of=50), errors=10, failures={"http_500": 10})))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]

    at = next(number for number, words in enumerate(lines) if words[:1] == ["failed"])
    assert lines[at + 1] == ["http_500", "1", "(1.00", "%)", "10", "(20.00", "%)"]
    assert lines[at + 2] == ["timeout", "2", "(2.00", "%)", "0", "(0.00", "%)"]


def test_the_arm_that_served_stands_beside_with_a_warning(capsys: pytest.CaptureFixture[str]):
    plain = compared(arm(3), arm(1))
    treated = Arms(base=arm(4), candidate=arm(0), difference=plain.difference)
    write_comparison(msgspec.structs.replace(plain, as_treated=treated))
    said = capsys.readouterr().out

    assert said.index("no evidence of what a model causes") < said.index("requests", said.index("no evidence"))
    requests = [line.split() for line in said.splitlines() if line.startswith("requests ")]
    assert [words[1:3] for words in requests if len(words) == 3] == [["3", "1"], ["4", "0"]]


def test_a_divided_report_has_a_small_table_for_each_part(capsys: pytest.CaptureFixture[str]):
    parts = [compared(arm(3), arm(1), by="application", part=name) for name in ("shop", None)]
    write_comparisons([msgspec.structs.replace(parts[0], as_treated=parts[1]), parts[1]], "application")
    said = capsys.readouterr().out

    assert [line.split(":")[0] for line in said.splitlines() if line.startswith("application ")] == [
        "application shop",
        "application -",
    ]
    assert "TTFT" not in said
    assert said.count("no evidence of what a model causes") == 1


def test_a_divided_report_of_nothing_says_so(capsys: pytest.CaptureFixture[str]):
    write_comparisons([], "day")

    assert capsys.readouterr().out.startswith("no request of a split user yet\n")
