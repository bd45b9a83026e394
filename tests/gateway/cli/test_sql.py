from __future__ import annotations

import argparse
import io
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from gateway.cli import Abort, sql
from tests.fakes.console import opened, serving
from tests.fakes.handmade_lake import HandmadeLake, record

Turnout = Callable[..., tuple[int, str, str]]
PER_APPLICATION = "SELECT application, count(*) AS requests FROM requests GROUP BY ALL ORDER BY ALL"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a state directory with a lake."""
    made = tmp_path_factory.mktemp("state")
    lake = HandmadeLake(made / "lake")
    now_us = time.time_ns() // 1000
    lake.put([record(n, started_at=now_us, application="sales") for n in range(1, 1235)])
    lake.put([record(9999, started_at=now_us, application="legal", tags={"evil": "\x1b[2J"})])
    return made


@pytest.fixture
def turnout(folder: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Turnout:
    monkeypatch.delenv("TURNOUT_URL", raising=False)
    monkeypatch.delenv("TURNOUT_KEY", raising=False)
    root = argparse.ArgumentParser(prog="turnout")
    sql.add_parser(root.add_subparsers(required=True))

    def run(*words: str) -> tuple[int, str, str]:
        try:
            arguments = root.parse_args(["sql", *words, "--state-dir", str(folder)])
            code = arguments.run(arguments)
        except Abort as abort:
            return (abort.exit_code, "", f"{abort}")
        said = capfdbinary.readouterr()
        return (code, said.out.decode(), said.err.decode())

    return run


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[None]:
    with opened(folder) as control, serving(control, folder / "lake") as console:
        (folder / "addresses.json").write_text(json.dumps({"console": console.url}))
        (folder / "first-keys").write_text(f"admin {console.keys.admin}\n")
        yield


@contextmanager
def typed(text: str) -> Iterator[None]:
    """Let standard input be this text."""
    present, sys.stdin = sys.stdin, io.StringIO(text)
    try:
        yield
    finally:
        sys.stdin = present


@pytest.mark.usefixtures("running")
def test_people_get_a_table_that_says_as_of_when(turnout: Turnout):
    code, said, _ = turnout(PER_APPLICATION)

    lines = said.splitlines()
    assert code == 0
    assert [line.split() for line in lines[:3]] == [["application", "requests"], ["legal", "1"], ["sales", "1234"]]
    assert lines[-2].startswith("2 rows, as of 20")
    assert lines[-1].startswith(("Everything that had ended by 20", "How fresh this is, nobody can tell"))


@pytest.mark.usefixtures("running")
def test_programs_get_json_csv_and_parquet(turnout: Turnout, tmp_path: Path):
    rows = json.loads(turnout(PER_APPLICATION, "--json")[1])["rows"]
    text = turnout(PER_APPLICATION, "--format", "csv")[1]
    code, said, _ = turnout(PER_APPLICATION, "--output", str(tmp_path / "a.parquet"))
    with duckdb.connect() as connection:
        kept = connection.execute(f"FROM '{tmp_path}/a.parquet'").fetchall()

    assert rows == [["legal", 1], ["sales", 1234]]
    assert text == '"application","requests"\nlegal,1\nsales,1234\n'
    assert (code, said) == (0, "")
    assert kept == [("legal", 1), ("sales", 1234)]


@pytest.mark.usefixtures("running")
def test_a_query_has_parameters_and_may_come_from_standard_input(turnout: Turnout):
    words = ["a=1", "b=1.5", "c='1'", "d=x=y", "e=true", "f=null"]
    with typed("SELECT $a, $b, $c, $d, $e, $f"):
        _, said, _ = turnout("-", "--json", *[part for word in words for part in ("--param", word)])

    assert json.loads(said)["rows"] == [[1, 1.5, "1", "x=y", True, None]]


@pytest.mark.usefixtures("running")
def test_what_is_no_number_that_anybody_can_write_is_text(turnout: Turnout):
    words = {"a": "1e400", "b": "nan", "c": "9" * 44, "d": "1_000", "e": "-.5", "f": "1e3", "g": "-7", "h": "\u00b2"}
    given = [part for name, text in words.items() for part in ("--param", f"{name}={text}")]
    _, said, _ = turnout("SELECT $a, $b, $c, $d, $e, $f, $g, $h", "--json", *given)

    assert json.loads(said)["rows"] == [["1e400", "nan", "9" * 44, "1_000", -0.5, 1000.0, -7, "\u00b2"]]


@pytest.mark.usefixtures("running")
def test_nothing_in_an_answer_commands_the_terminal(turnout: Turnout):
    _, said, _ = turnout(
        "SELECT tags, tags['evil'] AS evil, 'a' || chr(10) || 'b' AS lines FROM requests WHERE tags != MAP {}"
    )

    assert "\x1b" not in said
    assert "\\x1b[2J" in said
    assert "a\\nb" in said


@pytest.mark.usefixtures("running")
def test_a_query_is_saved_listed_asked_and_forgotten(turnout: Turnout):
    words = ["SELECT $a + $b AS total", "--save", "adding", "--description", "adds", "--param", "a=1", "--param", "b=2"]
    codes = [turnout(*words)[0]]
    listed, as_json = turnout("--list")[1], json.loads(turnout("--list", "--json")[1])
    asked = [turnout("--saved", "adding", "--json", *given)[1] for given in ((), ("--param", "b=40"))]
    codes += [turnout("--forget", "adding")[0], turnout("--forget", "adding")[0]]

    assert [json.loads(said)["rows"] for said in asked] == [[[3]], [[41]]]
    assert "adds" in listed
    assert [one["name"] for one in as_json] == ["adding"]
    assert codes == [0, 0, 1]


@pytest.mark.usefixtures("running")
def test_what_the_console_refuses_is_one_sentence(turnout: Turnout):
    code, _, said = turnout("DELETE FROM requests")

    assert code == 1
    assert said.startswith("only SELECT is answered")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["SELECT 1", "--format", "parquet"], "--output"),
        (["SELECT 1", "--output", "answer"], "no ending"),
        (["SELECT $a", "--param", "a"], "NAME=VALUE"),
        ([], "name one"),
        (["SELECT 1", "--saved", "a"], "name one"),
        (["--save", "a"], "name one"),
        (["SELECT $a", "--param", "1a=2"], "NAME=VALUE"),
        ([""], "the query is empty"),
        (["SELECT 1", "--lake", "elsewhere"], "--lake goes with --direct"),
    ],
)
def test_a_wrong_command_line_ends_with_2(turnout: Turnout, words: list[str], sentence: str):
    code, _, said = turnout(*words)

    assert code == 2
    assert sentence in said


@pytest.mark.usefixtures("running")
def test_a_file_that_cannot_be_written_is_said(turnout: Turnout, tmp_path: Path):
    code, _, said = turnout("SELECT 1", "--output", str(tmp_path / "nowhere/a.csv"))

    assert code == 1
    assert "cannot write" in said


def test_a_stopped_installation_is_asked_directly(
    tmp_path: Path, folder: Path, capfdbinary: pytest.CaptureFixture[bytes]
):
    with opened(tmp_path):
        pass
    root = argparse.ArgumentParser(prog="turnout")
    sql.add_parser(root.add_subparsers(required=True))
    words = ["SELECT count(*) AS n FROM requests", "--direct", "--json", "--lake", str(folder / "lake")]
    arguments = root.parse_args(["sql", *words, "--state-dir", str(tmp_path)])

    assert arguments.run(arguments) == 0
    assert json.loads(capfdbinary.readouterr().out)["rows"] == [[1235]]
    assert not (tmp_path / "sql").exists()
    for more in (["SELECT 7", "--save", "a"], ["--saved", "a", "--json"], ["--list"], ["--forget", "a"]):
        arguments = root.parse_args(["sql", *more, "--direct", "--state-dir", str(tmp_path)])
        assert arguments.run(arguments) == 0
    assert b"[7]" in b"".join(capfdbinary.readouterr().out.split())
