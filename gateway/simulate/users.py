"""What simulated users say of the answers they read. Pure: the same seed and number give the same habit.

A user judges by the answer's words alone (`words.liked`); where they tell nothing, nothing is said.
"""

from __future__ import annotations

from random import Random
from typing import Any, Literal

import msgspec

from gateway.simulate.words import liked

RATING_SHARE = 0.3
"""Of all feedback: stars instead of a thumb."""
SIGNAL_SHARE = 0.2
"""Of all feedback: with what the user did: copied a good answer, had a weak one made again."""
LATE_SHARE = 0.2
"""Of all feedback: after the replay's last answer instead of at once."""
TWICE_SHARE = 0.03
"""Of all feedback: sent a second time, as by a double click."""
_EVENT = b"data: {"


class Habit(msgspec.Struct, frozen=True, kw_only=True):
    """How a user reacts to one request; `firm` chooses between the two best, or the two worst, ratings."""

    by_rating: bool = False
    firm: bool = True
    signals: bool = False
    late: bool = False
    twice: bool = False


class Opinion(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of feedback, but for the request that it names: a thumb, or a rating of 1 to 5."""

    thumb: Literal["up", "down"] | None = None
    rating: int | None = None
    signal: Literal["copied", "regenerated"] | None = None

    @property
    def liked(self) -> bool:
        """Tell whether it praises."""
        return self.thumb == "up" or (self.rating or 0) > 3

    def body(self, request_id: str) -> bytes:
        """Return the body of `POST /v1/feedback`."""
        given = {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}
        return msgspec.json.encode({"request_id": request_id, **given})


def habit(seed: int, number: int, share: float) -> Habit | None:
    """Draw how the user of a replay's request reacts; None: not at all, as in 1 - `share` of all cases."""
    rng = Random(f"feedback/{seed}/{number}")
    if rng.random() >= share:
        return None
    return Habit(
        by_rating=rng.random() < RATING_SHARE,
        firm=rng.random() < 0.5,
        signals=rng.random() < SIGNAL_SHARE,
        late=rng.random() < LATE_SHARE,
        twice=rng.random() < TWICE_SHARE,
    )


def opinion(drawn: Habit, text: str) -> Opinion | None:
    """Return what a user with this habit says of an answer, or None."""
    likes = liked(text)
    if likes is None:
        return None
    did = ("copied" if likes else "regenerated") if drawn.signals else None
    if not drawn.by_rating:
        return Opinion(thumb="up" if likes else "down", signal=did)
    stars = (5 if drawn.firm else 4) if likes else (1 if drawn.firm else 2)
    return Opinion(rating=stars, signal=did)


class _Said(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Said | None = None
    delta: _Said | None = None


class _Answer(msgspec.Struct):
    choices: list[_Choice] = []


_answer = msgspec.json.Decoder(_Answer)


def text_of(body: bytes, *, streamed: bool) -> str:
    """Return the text of a chat completion's first choices, as a reader sees it; what cannot be read says nothing."""
    lines: list[Any] = [line[6:] for line in body.split(b"\n") if line.startswith(_EVENT)] if streamed else [body]
    said: list[str] = []
    for line in lines:
        try:
            choices = _answer.decode(line).choices
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        parts = [(choice.delta or choice.message) for choice in choices[:1]]
        said += [part.content for part in parts if part is not None and part.content is not None]
    return "".join(said)
