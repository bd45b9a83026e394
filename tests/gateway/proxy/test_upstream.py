"""What the port itself brings; what every client promises stands in `tests/contracts/`."""

from __future__ import annotations

import pytest

from gateway.proxy.upstream import Clock, Header, StalledFault, unusable
from tests.fakes.upstream import call_to

pytestmark = pytest.mark.anyio


class Headed:
    """An answer of which only the head is known."""

    def __init__(self, status: int = 200, *headers: Header) -> None:
        self.status = status
        self.headers = headers

    async def chunk(self) -> bytes:
        return b""

    def close(self) -> None:
        """Nothing to end."""


async def test_the_earliest_limit_is_waited_for_by_its_name():
    stream = Clock(call_to("http://x", first_byte_s=3.0, idle_s=4.0, total_s=9.0))
    whole = Clock(call_to("http://x", first_byte_s=1.0, idle_s=4.0, answer_s=6.0, total_s=9.0))
    short = Clock(call_to("http://x", first_byte_s=3.0, idle_s=4.0, total_s=2.0))

    assert [clock.head()[1] for clock in (stream, whole, short)] == ["first_byte", "answer", "total"]
    assert [clock.next_byte(started=False)[1] for clock in (stream, whole, short)] == ["first_byte", "idle", "total"]
    assert [clock.next_byte(started=True)[1] for clock in (stream, whole, short)] == ["idle", "idle", "total"]
    assert stream.connect(1.0) < stream.head()


async def test_a_time_that_is_over_is_told():
    Clock(call_to("http://x")).check()

    with pytest.raises(StalledFault, match="total_timeout"):
        Clock(call_to("http://x", total_s=0.0)).check()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Headed(), None),
        (Headed(599), None),
        (Headed(600), "broken_http"),
        (Headed(101), "broken_http"),
        (Headed(200, (b"content-encoding", b"Identity"), (b"transfer-encoding", b"chunked")), None),
        (Headed(200, (b"content-encoding", b"gzip")), "compressed"),
        (Headed(200, (b"transfer-encoding", b"gzip, chunked")), "compressed"),
    ],
)
def test_an_answer_is_relayed_that_anybody_can_read(answer: Headed, why: str | None):
    assert unusable(answer) == why
