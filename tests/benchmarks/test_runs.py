from __future__ import annotations

import math

import pytest

from benchmarks.gates.runs import Aim, Case, Table, judged, missed, number, played, summarised


def share(value: float, aim: Aim, runs: int = 1000) -> dict[str, object]:
    return judged({"value": value, "error": math.sqrt(value * (1 - value) / runs)}, aim, runs=runs, sort="share")


def test_a_share_has_its_binomial_error():
    assert summarised([1.0, 0.0, 0.0, 0.0], "share") == {"value": 0.25, "error": math.sqrt(0.25 * 0.75 / 4)}


def test_a_median_counts_what_never_happened_as_later_than_anything():
    assert summarised([None, 3.0, 1.0], "median")["value"] == 3.0
    assert summarised([None, None, 1.0], "median") == {"value": None, "error": None}


def test_a_mean_has_its_standard_error():
    found = summarised([1.0, 2.0, 3.0], "mean")

    assert found["value"] == 2.0
    assert found["error"] == pytest.approx(1 / math.sqrt(3))


@pytest.mark.parametrize(("value", "is_met"), [(0.05, True), (0.07, True), (0.08, False), (0.0, True)])
def test_a_share_may_exceed_its_limit_by_three_monte_carlo_errors(value: float, is_met: bool):  # noqa: FBT001 - the expectation
    assert share(value, Aim(at_most=0.05))["is_met"] is is_met


def test_a_share_that_must_be_nothing_is_missed_by_one_run():
    assert share(0.0, Aim(at_most=0.0))["is_met"]
    assert not judged({"value": 0.001, "error": 0.0}, Aim(at_most=0.0), runs=1000, sort="share")["is_met"]


def test_a_figure_strays_from_its_reference_by_more_than_chance_and_rounding():
    assert not share(0.31, Aim(reference=0.29))["differs"]
    assert share(0.35, Aim(reference=0.29))["differs"]
    assert not share(0.0, Aim(reference=0.003))["differs"]


def test_the_same_seed_plays_the_same_run(capsys: pytest.CaptureFixture[str]):
    table = Table(
        name="parity",
        title="",
        words="",
        runs=4,
        figures={"odd": "share"},
        cases=[Case(name="a", play=lambda seed, run: {"odd": float((seed + run) % 2)}, aims={"odd": Aim(at_most=0.0)})],
    )

    first, again = (played(table, runs=4, seed=7, jobs=1) for _ in range(2))

    assert first["rows"] == again["rows"]
    assert first["rows"][0]["figures"]["odd"]["value"] == 0.5
    assert missed([first]) == ["parity: a: odd 0.5"]
    assert "parity: a: odd 0.5 MISSED" in capsys.readouterr().out


def test_a_figure_reads_as_people_write_it():
    assert [number(value) for value in (None, 0.0123, 1.0, 30_600.0)] == ["never", "0.012", "1", "30,600"]
