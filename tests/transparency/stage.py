"""The stage of the comparison: one upstream that recites, one running installation before it, and a caller of both."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from tests.acceptance.harness import Installation, installed
from tests.fakes.peer import Request
from tests.fakes.reciting import Answer, Reciter, reciting
from tests.fakes.wire_caller import Header, Line, Received, ask
from tests.transparency.shape import Call

Way = Literal["plain", "held", "moved", "rescued"]
WAYS: tuple[Way, ...] = ("plain", "held", "moved")
"""A model that is in no rollout, a rollout at 0 percent, which leads to base, and one at 100: to the candidate.

Of these, each sends one request, whatever comes of it. Where the candidate is `rescued`, base is asked behind it.
"""

SERVED: dict[Way, str] = {
    "plain": "plain",
    "held": "gpt-4o-mini",
    "moved": "ft:gpt-4o-mini:acme:sales-v2:abc123",
    "rescued": "gpt-4o",
}
"""By which name the upstream is asked, when the client asks for one of `WAYS`."""

CREDENTIAL = "sk-of-the-upstream"
COMMENT_S = 0.3
CONFIG = f"""
[server]
port = 0
console_port = 0
metrics_port = 0
workers = 1
keep_alive_comment_s = {COMMENT_S}

[upstreams.reciting]
base_url = "$url/v1"
api_key = {{ env = "RECITING_KEY" }}

[models]
plain = {{ upstream = "reciting", price = {{ input = 0.15, output = 0.60 }} }}
gpt-4o-mini = {{ upstream = "reciting" }}
gpt-4o = {{ upstream = "reciting" }}
"ft:gpt-4o-mini:acme:sales-v2:abc123" = {{ upstream = "reciting" }}

[rollouts.held]
base = "gpt-4o-mini"
candidate = "gpt-4o"

[rollouts.moved]
base = "gpt-4o"
candidate = "ft:gpt-4o-mini:acme:sales-v2:abc123"

fallback = false

[rollouts.rescued]
base = "gpt-4o"
candidate = "gpt-4o-mini"

[applications.default]
user_header = "x-user-id"
expose = ["rollout", "model", "arm", "bucket"]
passthrough = $passthrough

[applications.keeping]
content = "full"
user_header = "x-user-id"
"""
KEEPING: Way = "held"
"""The way of an application whose prompts and answers are kept: that changes nothing either."""

CALLER: tuple[Header, ...] = (
    (b"host", b"localhost"),
    (b"accept", b"application/json"),
    (b"accept-encoding", b"gzip, deflate"),
    (b"openai-beta", b"assistants=v2"),
    (b"openai-organization", b"org-of-the-caller"),
    (b"idempotency-key", b"stainless-retry-1"),
    (b"user-agent", b"OpenAI/Python 3.54.0"),
    (b"x-stainless-retry-count", b"0"),
    (b"x-forwarded-for", b"192.0.2.7"),
    (b"cookie", b"session=of-the-caller"),
    (b"x-user-id", b"user-1"),
)
"""What every caller sends, beside its credential and its body's type."""

ANSWERED = (
    b"x-request-id: req_of_the_upstream",
    b"openai-processing-ms: 41",
    b"openai-version: 2020-10-01",
    b"x-ratelimit-remaining-requests: 4999",
    b"x-ratelimit-reset-tokens: 6m0s",
    b"openai-organization: org-of-the-upstream",
    b"set-cookie: __cf_bm=of-the-upstream; path=/",
    b"server: reciting/1",
    b"strict-transport-security: max-age=31536000",
    b"x-turnout-arm: forged",
    b"x-internal: of-the-upstream",
)
"""What every answer carries, beside what its shape gives it."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One call as both ends saw it: what the upstream heard, and what the client received."""

    heard: Request
    earlier: Sequence[Request]
    """What the upstream heard before, for the same call."""
    received: Received
    sent_headers: tuple[Header, ...]
    upstream: str
    """The upstream's host and port."""


@dataclass(kw_only=True)
class Stage:
    """Both ways to the same upstream."""

    installation: Installation
    reciter: Reciter
    keys: dict[Way, str]

    def direct(self, call: Call, way: Way) -> Seen:
        """Call the upstream itself, by the name of the model that the gateway should choose."""
        return self._asked(call, self.reciter.url, "sk-of-the-caller", SERVED[way], way=way)

    def through(self, call: Call, way: Way, line: Line | None = None) -> Seen:
        """Call the gateway, over a connection of its own or a kept one."""
        return self._asked(call, self.installation.gateway, self.keys[way], way, line, way=way)

    def received(self, call: Call, way: Way, answer: Answer) -> Received:
        """Call the gateway, for another answer than the shape's."""
        return self.through(replace(call, answer=answer), way).received

    def _asked(
        self, call: Call, url: str, key: str, model: str, line: Line | None = None, *, way: Way = "plain"
    ) -> Seen:
        shape = call.shape
        self.reciter.answer = replace(call.answer, headers=(*call.answer.headers, *ANSWERED))
        self.reciter.heard.clear()
        typed = ((b"content-type", shape.content_type),) if shape.content_type else ()
        headers = (*CALLER, *typed, (b"authorization", b"Bearer " + key.encode()))
        target = f"/v1{shape.path.removeprefix('/v1')}{shape.query}"
        asking = partial(ask, url) if line is None else line.ask
        received = asking(shape.method, target, headers, call.body_for(model), chunk_bytes=shape.chunk_bytes)
        assert self.reciter.heard, f"nothing reached the upstream; the client got {received.status} {received.body!r}"
        *earlier, heard = self.reciter.heard
        is_rescued = way == "rescued" and url != self.reciter.url
        assert len(earlier) == is_rescued, "the upstream was asked another time"
        upstream = urlsplit(self.reciter.url).netloc
        return Seen(heard=heard, earlier=earlier, received=received, sent_headers=headers, upstream=upstream)


@contextlib.contextmanager
def staged(folder: Path, passthrough: Sequence[str] = ()) -> Iterator[Stage]:
    """Run the upstream and the installation, one rollout moved to its candidate."""
    with reciting() as reciter:
        config = CONFIG.replace("$url", reciter.url).replace("$passthrough", str(list(passthrough)))
        with installed(folder, config=config, simulated={}, environment={"RECITING_KEY": CREDENTIAL}) as installation:
            installation.set_percent(100, "moved")
            installation.set_percent(100, "rescued")
            keys: dict[Way, str] = dict.fromkeys(SERVED, installation.keys["application"])
            keys[KEEPING] = installation.new_key("keeping")
            yield Stage(installation=installation, reciter=reciter, keys=keys)
