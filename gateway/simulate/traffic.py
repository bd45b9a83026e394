"""Turn a trace into requests: who sends each, when, and what it says. No I/O: randomness comes in.

Arrivals and token counts are the trace's; users and prompt texts are synthesised. Usage is skewed as it is in life: the
k-th most active user has a weight of 1/k (Zipf), and everybody appears at least once when there are rows enough.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

import msgspec

from gateway.simulate.reply import FIXED_INPUT, FIXED_OUTPUT
from gateway.simulate.trace import Row
from gateway.simulate.wire import BYTES_PER_TOKEN
from gateway.simulate.words import WRAP, prompt


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """One request to send `at_s` seconds (uncompressed) after the first; `user` counts from 0."""

    number: int
    at_s: float
    user: int
    input_tokens: int
    output_tokens: int
    stream: bool
    asks_usage: bool


class Wording(msgspec.Struct, frozen=True, kw_only=True):
    """What all requests of a replay have in common; prompts are cut at `most_prompt_bytes`."""

    model: str
    users: int
    most_prompt_bytes: int


def user_key(user: int, users: int) -> str:
    """Return the key of a user: `user-0001` and so on, as wide as the last one."""
    return f"user-{user + 1:0{max(4, len(str(users)))}d}"


def assign_users(requests: int, users: int, rng: Random) -> list[int]:
    """Say for each request who sends it; the first `min(requests, users)` users appear at least once."""
    present = min(requests, users)
    drawn = rng.choices(range(users), weights=[1 / (rank + 1) for rank in range(users)], k=requests)
    for user, place in enumerate(rng.sample(range(requests), present)):
        drawn[place] = user
    return drawn


def plan(rows: Sequence[Row], *, users: int, stream_share: float, rng: Random) -> Iterator[Planned]:
    """Yield a request per row; every second stream asks for its usage itself."""
    senders = assign_users(len(rows), users, rng)
    streams = 0
    for number, (row, user) in enumerate(zip(rows, senders, strict=True)):
        stream = rng.random() < stream_share
        streams += stream
        yield Planned(
            number=number,
            at_s=row.at_s,
            user=user,
            input_tokens=row.input_tokens,
            output_tokens=row.output_tokens,
            stream=stream,
            asks_usage=stream and streams % 2 == 0,
        )


def prompt_bytes(row: Row | Planned) -> int:
    """Return how long the prompt ought to be for its tokens."""
    return max(row.input_tokens, 1) * BYTES_PER_TOKEN


def body(planned: Planned, wording: Wording) -> bytes:
    """Return the request's JSON. Its token counts are fixed by `metadata`, which only a simulated server reads."""
    text = prompt(min(prompt_bytes(planned), wording.most_prompt_bytes), planned.number % WRAP)
    fields: dict[str, object] = {
        "model": wording.model,
        "messages": [{"role": "user", "content": text}],
        "user": user_key(planned.user, wording.users),
        "max_tokens": max(planned.output_tokens, 1),
        "metadata": {FIXED_INPUT: str(planned.input_tokens), FIXED_OUTPUT: str(planned.output_tokens)},
    }
    if planned.stream:
        fields["stream"] = True
    if planned.asks_usage:
        fields["stream_options"] = {"include_usage": True}
    return msgspec.json.encode(fields)
