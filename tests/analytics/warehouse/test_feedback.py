"""Each piece of feedback is exactly one of six things: known answers, and an independent judge over generated ones."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest

from analytics.feedback import Feedback
from analytics.lake.columns import FEEDBACK
from analytics.lake.layout import FEEDBACK as FOLDER
from analytics.lake.parquet import ParquetWriter, row
from analytics.record import Record, uuid7
from analytics.warehouse.database import Warehouse
from analytics.warehouse.feedback import STATUSES, Fates, fates
from tests.fakes.handmade_lake import AT_US, HandmadeLake, record

HOUR_US = 3_600_000_000
REQUESTS = [
    record(1, application="shop", response_id="c1"),
    record(2, application="shop", response_id="c2"),
    record(3, application="shop", response_id="twice"),
    record(4, application="desk", response_id="twice"),
    record(5, application="desk", response_id=None),
]


def piece(number: int, *, after_us: int = 0, application: str = "shop", **facts: Any) -> Feedback:
    """Return feedback `after_us` after the lake's first moment."""
    at = AT_US + after_us
    said = {} if "signal" in facts or "rating" in facts else {"thumb": "up"}
    feedback_id = uuid7(at, number.to_bytes(10))
    return Feedback(feedback_id=feedback_id, seq=number, received_at=at, application=application, **{**said, **facts})


def put(lake: HandmadeLake, pieces: Sequence[Feedback]) -> None:
    writer = ParquetWriter(lake.root / "scratch.ndjson", lake.lake.store)
    target = lake.lake.range_file(("w0", "b1"), 1, 0, 1, FOLDER)
    writer.write(target, ("w0", "b1"), [row(one) for one in pieces], FEEDBACK)
    writer.close()


def judged(warehouse: Warehouse) -> dict[int, tuple[str, UUID | None]]:
    """Return status and request by the pieces' numbers, each of which there must be once."""
    with warehouse.connection() as connection:
        question = "SELECT seq, status, judged.request_id FROM judged JOIN feedback USING (feedback_id)"
        rows = connection.execute(question).fetchall()
    assert len({number for number, *_ in rows}) == len(rows)
    return {number: (status, request_id) for number, status, request_id in rows}


def named(number: int) -> str:
    return REQUESTS[number - 1].request_id


KNOWN: list[tuple[str, list[Feedback], list[str]]] = [
    ("by request id", [piece(1, request_id=named(1))], ["joined"]),
    ("by response id", [piece(1, response_id="c1")], ["joined"]),
    ("of another application", [piece(1, application="desk", request_id=named(1))], ["foreign"]),
    ("of another application, by response id", [piece(1, application="desk", response_id="c1")], ["foreign"]),
    ("of no request", [piece(1, request_id=str(UUID(int=9)))], ["unmatched"]),
    ("of no answer", [piece(1, response_id="c9")], ["unmatched"]),
    ("a response id of two requests", [piece(1, response_id="twice")], ["ambiguous"]),
    ("the same, from neither's application", [piece(1, application="else", response_id="twice")], ["ambiguous"]),
    ("one of the two by its request id", [piece(1, request_id=named(3))], ["joined"]),
    ("early", [piece(1, after_us=-HOUR_US, request_id=named(1))], ["joined"]),
    ("48 h after", [piece(1, after_us=48 * HOUR_US + 1_000_000, request_id=named(1))], ["joined"]),
    ("48 h and 1 us after", [piece(1, after_us=48 * HOUR_US + 1_000_001, request_id=named(1))], ["expired"]),
    ("49 h after, by response id", [piece(1, after_us=49 * HOUR_US, response_id="c1")], ["expired"]),
    ("foreign and late", [piece(1, after_us=49 * HOUR_US, application="desk", request_id=named(1))], ["foreign"]),
    (
        "twice",
        [piece(1, after_us=1, request_id=named(1)), piece(2, after_us=2, response_id="c1", rating=1)],
        ["superseded", "joined"],
    ),
    (
        "twice in one microsecond",
        [piece(1, request_id=named(1)), piece(2, request_id=named(1)), piece(3, request_id=named(2))],
        ["superseded", "joined", "joined"],
    ),
    (
        "a newer one that does not count",
        [
            piece(1, request_id=named(1)),
            piece(2, after_us=5, application="desk", request_id=named(1)),
            piece(3, after_us=49 * HOUR_US, request_id=named(1)),
        ],
        ["joined", "foreign", "expired"],
    ),
    (
        "signals beside a verdict",
        [
            piece(1, request_id=named(1)),
            piece(2, after_us=1, request_id=named(1), signal="copied"),
            piece(3, after_us=2, request_id=named(1), signal="copied"),
            piece(4, after_us=3, request_id=named(1), signal="edited"),
            piece(5, after_us=4, request_id=named(1), rating=2, signal="copied"),
        ],
        ["superseded", "superseded", "joined", "joined", "joined"],
    ),
]


@pytest.mark.parametrize(("pieces", "statuses"), [case[1:] for case in KNOWN], ids=[case[0] for case in KNOWN])
def test_what_became_of_feedback_is_known(
    warehouse: Warehouse, lake: HandmadeLake, pieces: list[Feedback], statuses: list[str]
) -> None:
    lake.put(REQUESTS)
    put(lake, pieces)

    assert [status for status, _ in dict(sorted(judged(warehouse).items())).values()] == statuses


def test_the_request_is_named_unless_there_is_none_or_more_than_one(warehouse: Warehouse, lake: HandmadeLake) -> None:
    lake.put(REQUESTS)
    put(lake, [piece(1, response_id="c2"), piece(2, response_id="twice"), piece(3, response_id="c9")])

    assert {number: request_id for number, (_, request_id) in judged(warehouse).items()} == {
        1: UUID(named(2)),
        2: None,
        3: None,
    }


def test_feedback_that_came_first_is_joined_once_its_request_is_there(warehouse: Warehouse, lake: HandmadeLake) -> None:
    put(lake, [piece(1, response_id="c1")])
    before = judged(warehouse)[1][0]
    lake.put(REQUESTS)

    assert (before, judged(warehouse)[1][0]) == ("unmatched", "joined")


def test_each_applications_pieces_are_counted_by_what_became_of_them(warehouse: Warehouse, lake: HandmadeLake) -> None:
    lake.put(REQUESTS)
    put(
        lake,
        [
            piece(1, response_id="c1"),
            piece(2, response_id="c1", after_us=1),
            piece(3, response_id="twice"),
            piece(4, application="desk", response_id="c1"),
            piece(5, application="desk", request_id=named(5), after_us=49 * HOUR_US),
            piece(6, application="desk", response_id="c9"),
        ],
    )

    assert fates(warehouse) == [
        Fates(application="desk", foreign=1, expired=1, unmatched=1),
        Fates(application="shop", joined=1, superseded=1, ambiguous=1),
    ]


def test_a_lake_without_feedback_has_none_to_count(warehouse: Warehouse) -> None:
    assert fates(warehouse) == []


def judge_by_hand(requests: Sequence[Record], pieces: Sequence[Feedback]) -> dict[int, str]:
    """Judge piece by piece, as `docs/lake.md` says, without SQL."""
    verdicts: dict[int, str] = {}
    fitting: dict[tuple[str, str], list[Feedback]] = {}
    for said in pieces:
        about = [
            one
            for one in requests
            if one.request_id == said.request_id or (said.response_id and one.response_id == said.response_id)
        ]
        if not about:
            verdicts[said.seq] = "unmatched"
        elif len(about) > 1:
            verdicts[said.seq] = "ambiguous"
        elif about[0].application != said.application:
            verdicts[said.seq] = "foreign"
        elif said.received_at - about[0].started_at > 48 * HOUR_US:
            verdicts[said.seq] = "expired"
        else:
            kind = "verdict" if said.thumb or said.rating else str(said.signal)
            fitting.setdefault((about[0].request_id, kind), []).append(said)
    for rivals in fitting.values():
        *older, newest = sorted(rivals, key=lambda said: (said.received_at, said.feedback_id))
        verdicts |= {newest.seq: "joined"} | {said.seq: "superseded" for said in older}
    return verdicts


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_thousands_of_pieces_are_judged_as_by_hand(warehouse: Warehouse, lake: HandmadeLake, seed: int) -> None:
    chance = random.Random(seed)
    applications = ["shop", "desk", "lab"]
    requests = [
        record(number, application=chance.choice(applications), response_id=f"c{chance.randrange(600)}")
        for number in range(1, 401)
    ]
    known = [one.request_id for one in requests] + [str(UUID(int=number)) for number in range(20)]
    pieces: list[Feedback] = []
    for number in range(1, 3001):
        name = {"request_id": chance.choice(known)}
        if chance.random() < 0.5:
            name = {"response_id": f"c{chance.randrange(620)}"}
        said = chance.choice([{"thumb": "down"}, {"rating": chance.randint(1, 5)}, {"signal": "copied"}])
        hours = chance.choice([-1, 0, 1, 47, 48, 49])
        after_us = hours * HOUR_US + chance.choice([0, 1, 1_000_000 * chance.randrange(400)])
        pieces.append(piece(number, after_us=after_us, application=chance.choice(applications), **name, **said))
    lake.put(requests)
    put(lake, pieces)
    found = {number: status for number, (status, _) in judged(warehouse).items()}

    assert found == judge_by_hand(requests, pieces)
    assert set(Counter(found.values())) == set(STATUSES)
