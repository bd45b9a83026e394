from __future__ import annotations

import pytest

from gateway.cli.table import write_json, write_table


def test_columns_are_aligned_with_numbers_at_the_right(capsys: pytest.CaptureFixture[str]):
    write_table(("NAME", "COUNT", "ARM"), [("alice", 12, "base"), ("bo", 1234, "candidate")])

    assert capsys.readouterr().out.splitlines() == [
        "NAME   COUNT  ARM",
        "alice     12  base",
        "bo     1,234  candidate",
    ]


def test_what_is_not_known_shows_as_a_dash(capsys: pytest.CaptureFixture[str]):
    write_table(("NAME", "MS"), [("a", None), ("b", 2.5)])

    assert capsys.readouterr().out.splitlines() == ["NAME   MS", "a       -", "b     2.5"]


def test_a_table_without_rows_has_its_headings(capsys: pytest.CaptureFixture[str]):
    write_table(("NAME", "MS"), [])

    assert capsys.readouterr().out == "NAME  MS\n"


@pytest.mark.parametrize(
    ("cell", "text"), [(1234567, "1,234,567"), (10.0, "10"), (0.125, "0.12"), (True, "True"), (0, "0"), (-3, "-3")]
)
def test_a_cell_reads_as_people_write_it(cell: object, text: str, capsys: pytest.CaptureFixture[str]):
    write_table(("X",), [(cell,)])

    assert capsys.readouterr().out.splitlines()[1].strip() == text


def test_json_is_indented_and_ends_with_a_line_break(capsys: pytest.CaptureFixture[str]):
    write_json({"name": "é", "percent": 10.0})

    assert capsys.readouterr().out == '{\n  "name": "é",\n  "percent": 10.0\n}\n'
