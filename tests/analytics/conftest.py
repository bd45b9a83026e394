from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from analytics.feedback import Feedback
from analytics.journal.reader import SegmentReader
from analytics.journal.segment import segments
from analytics.record import Frame, Opened, Record

STARTED_AT = 1_790_000_000_000_000


def request_id(seq: int) -> str:
    return f"0199b0c0-0000-7000-8000-{seq:012x}"


@pytest.fixture
def opened() -> Callable[[int], Opened]:
    return lambda seq: Opened(
        request_id=request_id(seq), seq=seq, started_at=STARTED_AT, deadline_at=STARTED_AT + 600_000_000
    )


@pytest.fixture
def closed() -> Callable[[int], Record]:
    return lambda seq: Record(request_id=request_id(seq), seq=seq, started_at=STARTED_AT, outcome="ok", status=200)


@pytest.fixture
def said() -> Callable[[int], Feedback]:
    return lambda seq: Feedback(
        feedback_id=f"0199b0c0-0000-7000-8fff-{seq:012x}",
        seq=seq,
        received_at=STARTED_AT,
        application="shop",
        request_id=request_id(seq),
        thumb="up",
    )


@pytest.fixture
def frames_in() -> Callable[[Path], list[Frame]]:
    def read(directory: Path) -> list[Frame]:
        found: list[Frame] = []
        for name in segments(directory):
            with SegmentReader(directory / name.file_name) as reader:
                found.extend(frame for _, frame in reader.frames())
        return found

    return read
