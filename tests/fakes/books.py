"""Compare what callers, the upstream and the lake say of the same questions. Acknowledged means obliged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from tests.fakes.oracle import OracleUpstream, answer_id, usage
from tests.fakes.oracle_client import Asked

ROWS = """
SELECT tags['oracle'] AS uid, request_id::VARCHAR AS request_id, worker, boot, seq, outcome, stream, response_id,
       input_tokens, output_tokens
FROM records WHERE tags['oracle'] IS NOT NULL
"""
"""What `disagreements` must know of the lake."""


def disagreements(
    asked: Iterable[Asked],
    upstream: OracleUpstream,
    rows: Collection[Mapping[str, Any]],
    *,
    unfinished: Collection[str] = (),
) -> dict[str, list[str]]:
    """Return the ids of questions of which the three say different things, by what is wrong; empty is good.

    `rows` answer `ROWS`; `unfinished` are the outcomes that a question may have of which the caller has no whole
    answer. One whose record says `ok` is always allowed: its caller may be gone between the record and the last byte.
    """
    questions = {one.uid: one for one in asked}
    outcomes: dict[str, str] = {row["uid"]: row["outcome"] for row in rows}
    whole = {uid for uid, one in questions.items() if one.fate == "whole"}
    ended = {uid for uid, one in questions.items() if one.fate in {"whole", "refused"}}
    found = {
        "lost": [uid for uid in whole if outcomes.get(uid) != "ok"],
        "doubled": [*_twice(rows, "uid"), *_twice(rows, "request_id"), *_twice(rows, "worker", "boot", "seq")],
        "unrecorded": [uid for uid in ended | upstream.got.keys() if uid not in outcomes],
        "unknown": [uid for uid in outcomes if uid not in questions],
        "sent twice": [uid for uid, times in upstream.got.items() if times > 1],
        "never delivered": [uid for uid, outcome in outcomes.items() if outcome == "ok" and not upstream.got[uid]],
        "corrupt": [*upstream.spoiled, *(uid for uid, one in questions.items() if one.fate == "corrupt")],
        "hung": [uid for uid, one in questions.items() if one.fate == "hung"],
        "wrong outcome": [
            f"{uid}: {outcome}"
            for uid, outcome in outcomes.items()
            if uid not in whole and outcome != "ok" and outcome not in unfinished
        ],
        "wrong record": [
            uid
            for row in rows
            if (uid := row["uid"]) in questions and _misses(row, questions[uid], upstream.got[uid] > 0)
        ],
    }
    return {wrong: uids for wrong, uids in found.items() if uids}


def _twice(rows: Iterable[Mapping[str, Any]], *columns: str) -> list[str]:
    counted = Counter(tuple(row[column] for column in columns) for row in rows)
    return [str(key) for key, times in counted.items() if times > 1]


def _misses(row: Mapping[str, Any], one: Asked, was_sent: bool) -> bool:  # noqa: FBT001 - a fact, not a switch
    """Tell whether a record says something else than its question, as far as that had come, and its answer."""
    facts: list[tuple[Any, Any]] = [(row["request_id"], one.headers.get("x-request-id", row["request_id"]))]
    if was_sent:
        facts.append((row["stream"], one.stream))
    if row["outcome"] == "ok":
        billed = usage(one.uid)
        facts += [
            (row["response_id"], answer_id(one.uid)),
            (row["input_tokens"], billed["prompt_tokens"]),
            (row["output_tokens"], billed["completion_tokens"]),
        ]
    return any(recorded != true for recorded, true in facts)
