"""A small lake with two users' requests and content in files of every kind, and what shows that one was erased."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb

from analytics.content import Content
from analytics.lake.columns import CONTENT
from analytics.lake.erasure import Erasure
from analytics.lake.parquet import ParquetWriter, row
from tests.fakes.handmade_lake import AT_US, HandmadeLake, record

ANN, BOB, PSEUDONYM = b"ann-ann-ann-hash", b"bob-bob-bob-hash", b"nobody-knows-who"
CANARY = "canary-of-ann-7f3a"
DAY_US = 86_400_000_000
ASKED_US = AT_US + 3 * DAY_US
"""When the erasure is asked for: two days are over, and compacted."""


def erasure(lake: Path | str, **facts: Any) -> Erasure:
    """Return Ann's erasure from a lake."""
    known = {"user_hash": ANN, "pseudonym": PSEUDONYM, "asked_at": ASKED_US, **facts}
    return Erasure(id="e1", lake=str(lake), **known)


def request(number: int, user: bytes, **facts: Any) -> Any:
    """Return a record of a user; Ann's have canaries wherever a caller's words may be."""
    told = {
        "tags": {"mail": CANARY, "team": "sales"},
        "trace_id": f"trace-{CANARY}",
        "span_id": "s",
        "parent_span_id": "p",
    }
    known = {"user_hash": user, "application": "web", "response_id": f"r-{number}", "cost_usd": number / 8}
    return record(number, **{**known, **(told if user == ANN else {"tags": {"team": "sales"}}), **facts})


class ErasableLake(HandmadeLake):
    """The lake: days that are compacted, a day that is merged, loose files, files that were replaced, and content."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        for day in (0, 1):
            at = day * 86_400
            self.put([request(at + n, ANN if n % 2 else BOB, rollout="ab"[n % 2]) for n in range(1, 7)])
        self.put([request(180_000, ANN), request(180_001, BOB)])
        said = {"request_id": UUID(request(1, ANN).request_id), "received_at": AT_US + 5_000_000, "application": "web"}
        self.put_feedback([{"feedback_id": UUID(int=1), "thumb": "up", **said}])
        self.put_content([self.piece(1, "request", ANN), self.piece(2, "answer", BOB)])
        self.put_content([self.piece(3, "comment", None, request_id=request(3, ANN).request_id)])
        self.put_content([self.piece(4, "comment", None, response_id="r-5"), self.piece(5, "comment", None)])
        self.compact(AT_US + DAY_US + 4 * 3600_000_000)
        self.put([request(180_002, ANN), request(180_003, BOB)])

    def piece(self, number: int, kind: Any, user: bytes | None, **facts: Any) -> Content:
        """Return a piece of content; what is Ann's, or of one of her requests, has a canary."""
        body = CANARY.encode() if user == ANN or facts else b"bob's own words"
        known = {"seq": number, "application": "web", "captured_at": AT_US, "expires_at": AT_US + 9 * DAY_US, **facts}
        return Content(kind=kind, body=body, size_bytes=len(body), user_hash=user, **known)

    def put_content(self, pieces: list[Content]) -> None:
        self._files += 1
        folder = "content/expires=2026-09-30"
        self.lake.store.prepare(folder, private=True)
        writer = ParquetWriter(self.root / "scratch.ndjson", self.lake.store)
        name = self.lake.range_file(("w0", "b1"), self._files, 0, 1, folder)
        writer.write(name, ("w0", "b1"), [row(one) for one in pieces], CONTENT)
        writer.close()


def parquet(path: Path) -> list[dict[str, Any]]:
    """Return a file's rows in their order."""
    with duckdb.connect() as connection:
        answer = connection.read_parquet(str(path), hive_partitioning=False)
        return [dict(zip(answer.columns, row, strict=True)) for row in answer.fetchall()]


def holding(folder: Path, *words: bytes) -> list[str]:
    """Return the files in which a word stands: in their bytes, or in a value of their compressed columns."""
    found: list[str] = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            held = path.read_bytes() + (repr(parquet(path)).encode() if path.suffix == ".parquet" else b"")
            if any(word in held for word in words):
                found.append(str(path.relative_to(folder)))
    return found
