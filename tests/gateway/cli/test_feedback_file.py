from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.feedback_file import BadFileError, Line, Outcome, read, send_all
from gateway.cli.target import Target

REQUEST = "0199b0c0-1111-7222-8333-444444444444"


def file(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "feedback.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_each_line_becomes_one_body_and_empty_cells_are_absent(tmp_path: Path):
    text = (
        f'\ufeffRequest_ID, response_id,thumb,rating,comment\r\n{REQUEST},,up,,\r\n\r\n,c1,,4,"two\nlines"\r\n,c2,,5,\n'
    )

    lines, bad = read(file(tmp_path, text))

    assert bad == []
    assert [line.number for line in lines] == [2, 4, 6]
    assert [json.loads(line.body) for line in lines] == [
        {"request_id": REQUEST, "thumb": "up"},
        {"response_id": "c1", "rating": 4, "comment": "two\nlines"},
        {"response_id": "c2", "rating": 5},
    ]


def test_wrong_lines_are_named_by_number_with_the_gateways_reason(tmp_path: Path):
    text = "response_id,thumb,rating\nc1,up,5\nc2,up,\n,up,\nc4,,6\nc5,,4.5\nc6,sideways,\nc7,up\nc8,,\u0665\n"

    lines, bad = read(file(tmp_path, text))

    assert [line.number for line in lines] == [3]
    assert [line.number for line in bad] == [2, 4, 5, 6, 7, 8, 9]
    assert bad[0].reason == "Send either 'thumb' or 'rating', not both."
    assert bad[5].reason == "The line has 2 cells; the header has 3."


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "first line must name"),
        ("c1,up\n", "first line must name"),
        ("response_id\nc1\n", "first line must name"),
        ("thumb\nup\n", "first line must name"),
        ("response_id,thumb,thumb\n", "first line must name"),
        ("response_id,thumb,user\n", "first line must name"),
        ('response_id,thumb\nc1,up\nc2,"up\n', "after line 2"),
        (b"response_id,thumb\nc1,\xff\n", "no CSV in UTF-8"),
    ],
)
def test_what_is_no_file_of_feedback_is_refused(tmp_path: Path, text: str | bytes, reason: str):
    with pytest.raises(BadFileError, match=reason):
        read(file(tmp_path, text))


def test_a_file_that_is_not_there_is_said(tmp_path: Path):
    with pytest.raises(BadFileError, match="cannot be read"):
        read(tmp_path / "nothing.csv")


@contextmanager
def gateway(answers: Sequence[tuple[int, dict[str, Any]]]) -> Iterator[tuple[str, list[Any]]]:
    """Answer with these, one after the other and the last one for ever; note what was asked."""
    got: list[Any] = []

    class Gateway(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            got.append((self.path, self.headers["authorization"], json.loads(self.rfile.read(length))))
            status, said = answers[min(len(got), len(answers)) - 1]
            body = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.send_header("retry-after", "0")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the standard library's
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def sent(lines: Sequence[Line], url: str) -> list[Outcome]:
    outcomes: list[Outcome] = []
    await send_all(lines, Target(url=url, key="k"), outcomes.append)
    return sorted(outcomes, key=lambda outcome: outcome.number)


@pytest.mark.anyio
async def test_lines_are_sent_with_the_key_and_dropped_comments_are_told():
    with gateway([(202, {"id": "f", "comment_kept": False})]) as (url, got):
        outcomes = await sent([Line(2, b'{"thumb":"up"}')], url)

    assert got == [("/v1/feedback", "Bearer k", {"thumb": "up"})]
    assert outcomes == [Outcome(2, comment_dropped=True)]


@pytest.mark.anyio
async def test_a_gateway_that_is_busy_is_asked_again():
    answers = [(429, {}), (503, {}), (202, {"id": "f"})]

    with gateway(answers) as (url, got):
        outcomes = await sent([Line(2, b"{}")], url)

    assert (outcomes, len(got)) == ([Outcome(2)], 3)


@pytest.mark.anyio
async def test_a_line_that_is_refused_is_told_with_the_reason():
    with gateway([(400, {"error": {"message": "No."}})]) as (url, got):
        refused = await sent([Line(7, b"{}")], url)
    with gateway([(500, {})]) as (url, _):
        failed = await sent([Line(8, b"{}")], url)

    assert (refused, len(got)) == ([Outcome(7, "400: No.")], 1)
    assert failed == [Outcome(8, "the gateway answered 500")]


@pytest.mark.anyio
async def test_a_gateway_that_is_gone_is_told_for_each_line():
    with gateway([(202, {})]) as (url, _):
        pass

    outcomes = await sent([Line(2, b"{}"), Line(3, b"{}")], url)

    assert [outcome.number for outcome in outcomes] == [2, 3]
    assert {outcome.failure for outcome in outcomes} == {"the gateway did not answer (ConnectError)"}
