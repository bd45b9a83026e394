"""A CSV file of feedback: read as the gateway would read each line, and sent line by line.

The law: a line that was not taken is named by its number in the file, with the reason.
"""

from __future__ import annotations

import asyncio
import csv
import ssl
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import msgspec

from gateway.cli.target import Target
from gateway.errors import BadRequestError
from gateway.proxy.feedback import FIELDS, read_feedback

_AT_ONCE = 8
_TRIES = 4
_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 60.0
_TIMEOUT_S = 30.0
_IDS = {"request_id", "response_id"}
_VERDICTS = {"thumb", "rating", "signal"}


class BadFileError(ValueError):
    """The file is no CSV of feedback; the message says why."""


class Line(msgspec.Struct, frozen=True):
    """What is sent for the line of this number."""

    number: int
    body: bytes


class BadLine(msgspec.Struct, frozen=True):
    """The line of this number cannot be sent, or was not taken, for this reason."""

    number: int
    reason: str


class Outcome(msgspec.Struct, frozen=True):
    """How sending a line ended; `failure` is None when it was taken."""

    number: int
    failure: str | None = None
    comment_dropped: bool = False


def read(path: Path) -> tuple[list[Line], list[BadLine]]:
    """Return a file's lines, and those that the gateway would refuse. The first line of a file is number 1.

    Raises:
        BadFileError: it cannot be read, or its header is not one of feedback.
    """
    lines: list[Line] = []
    bad: list[BadLine] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows: Any = csv.reader(file, strict=True)
            names = _header(path, next(rows, list[str]()))
            for number, cells in _numbered(rows):
                try:
                    lines.append(_line(number, names, cells))
                except BadRequestError as error:
                    bad.append(BadLine(number, error.message))
    except OSError as error:
        message = f"{path}: cannot be read ({error.strerror}); name another file"
        raise BadFileError(message) from error
    except (csv.Error, UnicodeDecodeError) as error:
        message = f"{path}: is no CSV in UTF-8 after line {len(lines) + len(bad) + 1:,} ({error})"
        raise BadFileError(message) from error
    return lines, bad


async def send_all(lines: Sequence[Line], target: Target, seen: Callable[[Outcome], None]) -> None:
    """Send every line, several at once; `seen` is called with each outcome as it comes."""
    tls = ssl.create_default_context()
    waiting = iter(lines)

    async def slot() -> None:
        async with httpx.AsyncClient(verify=tls, trust_env=False, timeout=_TIMEOUT_S) as client:
            for line in waiting:
                seen(await _send(client, target, line))

    async with asyncio.TaskGroup() as group:
        for number in range(min(_AT_ONCE, len(lines))):
            group.create_task(slot(), name=f"import slot {number}")


async def _send(client: httpx.AsyncClient, target: Target, line: Line) -> Outcome:
    """Send one line; a gateway that is busy or gone is asked again, one that limits the rate as often as it takes."""
    failure, tries = "", 0
    while tries < _TRIES:
        pause_s = _PAUSE_S
        try:
            answer = await client.post(f"{target.url}/feedback", content=line.body, headers=target.headers)
        except httpx.TransportError as error:
            failure = f"the gateway did not answer ({type(error).__name__})"
            tries += 1
        else:
            if answer.status_code == HTTPStatus.ACCEPTED:
                return Outcome(line.number, comment_dropped=_dropped(answer))
            failure = _reason(answer)
            if answer.status_code not in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
                return Outcome(line.number, failure)
            pause_s = _pause_s(answer)
            tries += answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
        await asyncio.sleep(pause_s)
    return Outcome(line.number, failure)


def _header(path: Path, cells: list[str]) -> list[str]:
    names = [cell.strip().lower() for cell in cells]
    strange = [name for name in names if name not in FIELDS]
    if strange or len(set(names)) < len(names) or not _IDS & set(names) or not _VERDICTS & set(names):
        message = (
            f"{path}: the first line must name the columns: request_id or response_id, and thumb, rating or signal; "
            f"known are {', '.join(FIELDS)}, each once"
        )
        raise BadFileError(message)
    return names


def _numbered(rows: Any) -> Iterator[tuple[int, list[str]]]:
    """Yield rows that are not empty, with the number of the line on which each begins."""
    number = rows.line_num + 1
    for cells in rows:
        if cells:
            yield number, cells
        number = rows.line_num + 1


def _line(number: int, names: list[str], cells: list[str]) -> Line:
    if len(cells) != len(names):
        message = f"The line has {len(cells)} cells; the header has {len(names)}."
        raise BadRequestError(message)
    said: dict[str, str | int] = {name: cell for name, cell in zip(names, cells, strict=True) if cell}
    rating = said.get("rating")
    if isinstance(rating, str) and rating.isascii() and rating.isdigit():
        said["rating"] = int(rating[:9])
    body = msgspec.json.encode(said)
    read_feedback(body)
    return Line(number, body)


def _dropped(answer: httpx.Response) -> bool:
    try:
        return answer.json().get("comment_kept") is False
    except (ValueError, AttributeError):
        return False


def _reason(answer: httpx.Response) -> str:
    try:
        return f"{answer.status_code}: {answer.json()['error']['message']}"
    except (ValueError, KeyError, TypeError):
        return f"the gateway answered {answer.status_code}"


def _pause_s(answer: httpx.Response) -> float:
    try:
        return min(max(float(answer.headers["retry-after"]), _PAUSE_S), _LONGEST_PAUSE_S)
    except (KeyError, ValueError):
        return _PAUSE_S
