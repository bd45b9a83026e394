"""The stories of `turnout demo`: how base and candidate behave in each, and how each has to end. Pure: texts alone.

Both arms answer as a real service does, in about a third of a second, and the candidate differs from base in one thing
or in none. The effects are large enough for a step of a minute to prove them; real ones are smaller, and take days.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from gateway.simulate.demo import BASE_MODEL, CANDIDATE_MODEL

Ending = Literal["ga", "rolled_back", "not_promoted"]
"""`not_promoted`: rolled back or inconclusive, in beta."""


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """What a simulated model is like: shares (0-1) of failed requests and of liked answers, and how slow it is."""

    errors: float = 0.03
    slower: float = 1.0
    quality: float = 0.90


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """One story: the candidate, what is said of it, and the end that statistics owe it."""

    name: str
    candidate: Behaviour
    tells: str
    promise: str
    ends: Ending


BASE = Behaviour()
STORIES: Mapping[str, Story] = {
    story.name: story
    for story in (
        Story(
            name="equal",
            candidate=Behaviour(),
            tells="is as good as the base in everything",
            promise="canary and beta prove it, and it reaches general availability",
            ends="ga",
        ),
        Story(
            name="slow",
            candidate=Behaviour(slower=1.5),
            tells="takes half as long again for every answer, the slowest ones included",
            promise="it is rolled back in canary",
            ends="rolled_back",
        ),
        Story(
            name="failing",
            candidate=Behaviour(errors=0.09),
            tells="fails three times as often",
            promise="it is rolled back in canary",
            ends="rolled_back",
        ),
        Story(
            name="unhappy",
            candidate=Behaviour(quality=0.80),
            tells="is as fast and as reliable, but users like 80 of 100 answers instead of 90",
            promise="canary passes, and beta, which asks the users, never does",
            ends="not_promoted",
        ),
    )
}


def base_simulation() -> str:
    """Return base's simulation file (TOML)."""
    return _simulation(BASE_MODEL, BASE)


def candidate_simulation(story: Story) -> str:
    """Return the candidate's simulation file (TOML)."""
    return _simulation(CANDIDATE_MODEL, story.candidate)


def _simulation(model: str, behaves: Behaviour) -> str:
    return f"""# A simulated model server, written by `turnout demo`.
[models."{model}"]
ttft_ms = {300 * behaves.slower:g}
ttft_sigma = 0.25
ms_per_token = {0.3 * behaves.slower:g}
tokens_per_chunk = 32
cached_share = 0.2
quality = {behaves.quality:g}
errors = {{ 500 = {behaves.errors:g} }}
"""
