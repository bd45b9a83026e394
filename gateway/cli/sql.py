"""`turnout sql`: one SELECT of an analyst's, as a table for people or as CSV, JSON or Parquet for programs.

Ctrl-C ends the query where it runs, not only here. Meanwhile a terminal shows how far it is.
"""

from __future__ import annotations

import argparse
import math
import re
import secrets
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from gateway.cli import Abort
from gateway.cli.client import add_reach_options, reach
from gateway.cli.console import Console
from gateway.cli.freshness import freshness_lines
from gateway.cli.lakes import HELP
from gateway.cli.table import write_json, write_table
from gateway.cli.waiting import shown
from gateway.cli.whole import write_whole
from gateway.console.views import AnswerView
from rollout.change import moment

_FORMATS = ("table", "csv", "json", "parquet")
_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL")
_NUMBER = re.compile(r"-?[0-9]{1,38}|-?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|-?[0-9]+[eE][-+]?[0-9]+")
"""What is taken for a number: a whole one that DuckDB has room for, or one with a point or an exponent."""
_NAMED = {"true": True, "false": False, "null": None}


def add_parser(commands: Any) -> None:
    """Add `sql`."""
    command: argparse.ArgumentParser = commands.add_parser(
        "sql",
        help="ask one SELECT of what was recorded",
        description="One SELECT over requests, feedback, and sums by hour and day. docs/sql.md says what they hold.",
    )
    add = command.add_argument
    add("query", metavar="QUERY", nargs="?", help="one SELECT; - reads it from standard input")
    add("--saved", metavar="NAME", help="ask a saved query")
    add("--save", metavar="NAME", help="save the query, with the given parameters as its usual ones, and do not ask it")
    add("--description", metavar="TEXT", default="", help="with --save: what it tells")
    add("--list", action="store_true", help="list the saved queries")
    add("--forget", metavar="NAME", help="remove a saved query")
    add(
        "--param", action="append", default=[], metavar="NAME=VALUE", help="the value of $NAME in the query; repeatable"
    )
    add("--format", choices=_FORMATS, help="default: table, or by the name of the output file")
    add("--output", type=Path, metavar="FILE", help="write the answer to a file")
    add("--lake", metavar="PLACE", help=f"with --direct: {HELP}")
    add_reach_options(command)
    command.set_defaults(run=run_sql)


def run_sql(arguments: argparse.Namespace) -> int:
    """Ask, and write the answer."""
    _require_one_act(arguments)
    form = _format(arguments)
    parameters = dict(_parameter(text) for text in arguments.param)
    with reach(arguments) as console:
        if arguments.list or arguments.save or arguments.forget:
            return _keep(console, arguments, parameters)
        asked = {"saved": arguments.saved} if arguments.saved else {"query": _query(arguments)}
        text = _asked(console, {**asked, "parameters": parameters}, "json" if form == "table" else form)
    if form == "table":
        answer = msgspec.json.decode(text, type=AnswerView)
        _write_answer(answer)
    elif arguments.output is None:
        sys.stdout.buffer.write(text)
        sys.stdout.flush()
    else:
        _write_file(arguments.output, text)
    return 0


def _require_one_act(arguments: argparse.Namespace) -> None:
    acts = (arguments.saved, arguments.forget, arguments.list or None, arguments.query)
    if sum(act is not None for act in acts) != 1 or (arguments.save and arguments.query is None):
        message = "name one: a QUERY (also with --save NAME), --saved NAME, --list, or --forget NAME"
        raise Abort(message, exit_code=2)


def _query(arguments: argparse.Namespace) -> str:
    """Return the query.

    Raises:
        Abort: it is empty.
    """
    query = sys.stdin.read() if arguments.query == "-" else arguments.query
    if not query.strip():
        message = "the query is empty; write one SELECT, for example 'SHOW TABLES'"
        raise Abort(message, exit_code=2)
    return query


def _keep(console: Console, arguments: argparse.Namespace, parameters: dict[str, object]) -> int:
    """List, save or forget."""
    if arguments.forget:
        console.forget_query(arguments.forget)
        return 0
    if arguments.save:
        kept = {"query": _query(arguments), "description": arguments.description, "parameters": parameters}
        console.save_query(arguments.save, kept)
        return 0
    saved = console.saved_queries()
    if arguments.json:
        write_json(saved)
        return 0
    rows = [
        (one.name, _cell(one.description) or None, _cell(one.parameters), one.by, moment(one.saved_at)) for one in saved
    ]
    write_table(("NAME", "DESCRIPTION", "PARAMETERS", "BY", "SAVED"), rows)
    return 0


def _asked(console: Console, asked: dict[str, object], form: str) -> bytes:
    query_id = secrets.token_hex(8)
    try:
        with shown(lambda: console.running_query(query_id), sys.stderr):
            return console.ask({**asked, "id": query_id}, form)
    except KeyboardInterrupt:
        console.cancel_query(query_id)
        raise


def _format(arguments: argparse.Namespace) -> str:
    """Return the format that was asked for.

    Raises:
        Abort: it does not go with where the answer is to be written.
    """
    output: Path | None = arguments.output
    ending = output.suffix.removeprefix(".") if output is not None else ""
    form: str = arguments.format or ("json" if arguments.json else ending if ending in _FORMATS else "table")
    if form == "parquet" and output is None:
        message = "Parquet is no text for a terminal; name a file with --output FILE"
        raise Abort(message, exit_code=2)
    if form == "table" and output is not None:
        message = f"{output} has no ending that tells a format; add --format csv, json or parquet"
        raise Abort(message, exit_code=2)
    return form


def _parameter(text: str) -> tuple[str, object]:
    """Return name and value: a whole number, a number, true, false, null, or else text; quotes keep it text.

    What is larger than any number, or none that JSON could write (`nan`), is text too: it may well be a name or an id.

    Raises:
        Abort: it is no NAME=VALUE.
    """
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        message = f"{text!r} is no parameter; write --param NAME=VALUE, such as --param since=2026-11-22"
        raise Abort(message, exit_code=2)
    if value in _NAMED:
        return name, _NAMED[value]
    if len(value) > 1 and value[0] == value[-1] == "'":
        return name, value[1:-1]
    if not _NUMBER.fullmatch(value):
        return name, value
    number = int(value) if value.lstrip("-").isdigit() else float(value)
    return name, number if math.isfinite(number) else value


def _write_answer(answer: AnswerView) -> None:
    numbers = [at for at, column in enumerate(answer.columns) if column.type.startswith(_NUMBERS)]
    rows = [[_cell(value) for value in row] for row in answer.rows]
    write_table([_cell(column.name) or "" for column in answer.columns], rows, figures=numbers)
    rows_said = "1 row" if answer.row_count == 1 else f"{answer.row_count:,} rows"
    sys.stdout.write(f"\n{rows_said}, as of {moment(answer.as_of)}\n")
    for line in freshness_lines(answer.freshness, time.time_ns() // 1000):
        sys.stdout.write(f"{line}\n")


def _cell(value: Any) -> str | None:
    """Return a value as one line in which nothing commands the terminal."""
    if value is None:
        return None
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def _write_file(path: Path, text: bytes) -> None:
    try:
        write_whole(path, text)
    except OSError as error:
        message = f"cannot write {path}: {error.strerror}"
        raise Abort(message) from error
