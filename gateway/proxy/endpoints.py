"""The endpoints whose requests name a model: what each is called in records, and where each differs. Pure: a table.

Law: no caller can bring a new name into the records: whatever is not listed here is called `other`. Resources of the
upstream's account are never reached by a model's name, however their bodies look.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint, by the name that stands in the records' `endpoint`.

    `injects_usage`: streams tell their usage only when asked to (`stream_options.include_usage`). `default_model`: what
    a request without `model` means by OpenAI's documentation. `is_media`: an answer may be something other than JSON,
    and may take as long as it plays. `last_events`: how many events of a stream say that they are the last; 0 where
    that is not known, so that a stream ends when the upstream ends it. `is_last_for_each`: one for each of `n` images.
    `has_typed_errors`: errors within streams are events of the type `error`. `continues`: a request may go on from an
    answer that is kept at the upstream. `ends_with_usage`: of an answer that is too large to hold, the end alone tells
    what it costs. `takes_form`: a body may be multipart/form-data.
    """

    name: str
    injects_usage: bool = False
    default_model: str | None = None
    is_media: bool = False
    last_events: int = 1
    is_last_for_each: bool = False
    has_typed_errors: bool = False
    continues: bool = False
    ends_with_usage: bool = False
    takes_form: bool = False


CHAT = Endpoint(name="chat.completions", injects_usage=True)
OTHER = Endpoint(name="other", takes_form=True, is_media=True, last_events=0)
"""Endpoints that came after this table: passed on and recorded alike."""

KNOWN: Mapping[str, Endpoint] = {
    "/v1/chat/completions": CHAT,
    "/v1/completions": Endpoint(name="completions", injects_usage=True),
    "/v1/embeddings": Endpoint(name="embeddings", ends_with_usage=True),
    "/v1/responses": Endpoint(name="responses", has_typed_errors=True, continues=True),
    "/v1/responses/compact": Endpoint(name="responses.compact", continues=True),
    "/v1/responses/input_tokens": Endpoint(name="responses.input_tokens", continues=True),
    "/v1/moderations": Endpoint(name="moderations", default_model="omni-moderation-latest"),
    "/v1/images/generations": Endpoint(name="images.generations", is_last_for_each=True, ends_with_usage=True),
    "/v1/images/edits": Endpoint(name="images.edits", takes_form=True, is_last_for_each=True, ends_with_usage=True),
    "/v1/images/variations": Endpoint(name="images.variations", takes_form=True),
    "/v1/audio/speech": Endpoint(name="audio.speech", is_media=True),
    "/v1/audio/transcriptions": Endpoint(name="audio.transcriptions", takes_form=True, is_media=True),
    "/v1/audio/translations": Endpoint(name="audio.translations", takes_form=True, is_media=True),
    "/v1/videos": Endpoint(name="videos", takes_form=True, is_media=True, last_events=0),
    "/v1/rerank": Endpoint(name="rerank", last_events=0),
    "/v1/score": Endpoint(name="score", last_events=0),
}

_WORDS = re.compile(r"[a-z0-9]+")
_PLAIN = re.compile(r"/v1/([a-z0-9_-]{1,64})(?:/[a-z0-9_-]{1,64}){0,3}")
_OF_THE_ACCOUNT = frozenset(
    {
        "assistants",
        "batches",
        "chatkit",
        "containers",
        "conversations",
        "dashboard",
        "evals",
        "feedback",
        "files",
        "batch",
        "fine-tunes",
        "fine-tuning",
        "fine_tunes",
        "fine_tuning",
        "models",
        "organization",
        "organizations",
        "projects",
        "realtime",
        "skills",
        "threads",
        "uploads",
        "usage",
        "vector_stores",
        "webhooks",
    }
)
"""What is kept at the upstream, or opens a way around the gateway (`realtime` hands out keys); many take a `model`."""


_GOVERNING = frozenset(
    {
        "admin",
        "api",
        "billing",
        "budget",
        "budgets",
        "config",
        "consents",
        "create",
        "credential",
        "credentials",
        "customer",
        "customers",
        "delete",
        "deploy",
        "deployment",
        "deployments",
        "engine",
        "engines",
        "invite",
        "invites",
        "key",
        "keys",
        "live",
        "load",
        "lora",
        "member",
        "members",
        "model",
        "permission",
        "permissions",
        "register",
        "remove",
        "role",
        "roles",
        "secret",
        "secrets",
        "session",
        "sessions",
        "spend",
        "team",
        "teams",
        "unload",
        "update",
        "user",
        "users",
        "voices",
    }
)
"""Words of paths by which some server's models, accounts or keys are governed, such as vLLM's `load_lora_adapter`."""


def endpoint_of(path: str) -> Endpoint | None:
    """Return what a POST to this path asks for, or None where a model's name alone leads nowhere."""
    if (known := KNOWN.get(path)) is not None:
        return known
    plain = _PLAIN.fullmatch(path)
    if plain is None or plain[1] in _OF_THE_ACCOUNT or path.startswith(_BELOW_KNOWN):
        return None
    return None if _GOVERNING & set(_WORDS.findall(path)) else OTHER


_BELOW_KNOWN = tuple(f"{known}/" for known in KNOWN)
"""What an endpoint made and the upstream keeps, by its id."""
