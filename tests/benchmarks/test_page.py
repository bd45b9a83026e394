"""The page's tables say what was kept, no more and no less."""

from __future__ import annotations

from pathlib import Path

from benchmarks.gates.page import BEGIN, END, KEPT, PAGE, cell, keep, kept_tables, sections, with_figures
from benchmarks.gates.runs import Table

TABLE = Table(name="one", title="One", words="Words.", runs=10, figures={"share": "share", "h": "median"}, cases=[])
FIGURE = {"value": 0.25, "error": 0.1, "is_met": True, "differs": False, "reference": None}
RESULT = {
    "name": "one",
    "runs": 10,
    "seed": 3,
    "cpu_s": 60.0,
    "rows": [{"case": "a", "runs": 10, "figures": {"share": FIGURE}}],
}


def test_a_table_says_how_it_was_made():
    text = sections([TABLE], {"one": RESULT})

    assert "### One" in text
    assert "Words. 10 runs a row, seed 3, 1.0 minutes of one processor." in text
    assert "| a | 0.25 |" in text
    assert "| | share |" in text


def test_a_table_that_was_never_played_is_left_out():
    assert sections([TABLE], {}) == ""


def test_a_figure_that_misses_its_aim_is_bold_and_a_strange_one_shows_the_reference():
    assert cell({**FIGURE, "is_met": False}) == "**0.25**"
    assert cell({**FIGURE, "differs": True, "reference": 0.1}) == "0.25 (reference 0.1)"
    assert cell(None) == ""


def test_new_figures_take_the_place_of_old_ones(tmp_path: Path):
    kept = tmp_path / "gates.json"
    keep([RESULT, {**RESULT, "name": "two"}], kept)
    keep([{**RESULT, "runs": 20}], kept)

    assert {name: each["runs"] for name, each in kept_tables(kept).items()} == {"one": 20, "two": 10}
    assert kept_tables(tmp_path / "none.json") == {}


def test_figures_stand_between_their_marks():
    text = with_figures(f"head\n{BEGIN}\nold\n{END}\ntail\n", "new\n")

    assert text == f"head\n{BEGIN}\n\nnew\n\n{END}\ntail\n"


def test_the_page_shows_every_kept_figure_and_no_other():
    page = PAGE.read_text("utf-8")
    shown = page.partition(BEGIN)[2].partition(END)[0]
    rows = {line.split(" | ")[0].removeprefix("| "): line for line in shown.splitlines() if line.startswith("| ")}

    kept = kept_tables(KEPT)
    for each in kept.values():
        for row in each["rows"]:
            for figure in row["figures"].values():
                assert cell(figure) in rows[row["case"]], row["case"]
    assert sum(len(each["rows"]) for each in kept.values()) == sum(
        line.startswith("| ") and not line.startswith("| |") for line in shown.splitlines()
    )
