"""What every column of the lake means, and in which unit it counts. Pure: words, and nothing that is computed.

Names and types stand in `analytics/lake/columns.py`, made of the frames of `record.py`, `feedback.py` and `content.py`;
a test compares all of them with each other and with `docs/lake.md`.
"""

from __future__ import annotations

from collections.abc import Mapping

REQUESTS: Mapping[str, str] = {
    "worker": "name of the worker process that served the request",
    "boot": "which start of that worker; with `seq` it is the journal's key",
    "request_id": "the row's key, a UUIDv7; the caller saw it as `x-request-id`",
    "seq": "1, 2, 3, ... within one `worker` and `boot`, without gaps",
    "started_at": "when the request's head was complete; UTC, microseconds, no zone in the type",
    "outcome": (
        "`ok`, `upstream_error`, `timeout`, `malformed`, `client_cancelled`, `client_error` (the upstream "
        "refused the request: 4xx but 401, 403, 404, 408 and 429, which are failures of the model or of our "
        "credential; a 404 counts as the caller's where only the caller says that there is such a path: "
        "endpoint `other`, pass-through), `rejected` (the gateway did), `shed`, `interrupted` (never closed)"
    ),
    "response_id": "the answer's own id, as the upstream gave it",
    "application": "which application called",
    "endpoint": "which endpoint of the API, by the names in http-api.md; `other` for those that have none",
    "rollout": "the rollout that decided; NULL when the model is in none",
    "generation": (
        "the rollout's generation: a new one for every change of its arms; 0 where `config_source` is `default`"
    ),
    "phase": "phase of the rollout's plan; not written yet",
    "step": "step of the rollout's plan",
    "snapshot_version": "epoch and version of the snapshot that decided",
    "config_source": (
        "where the worker had that snapshot from: `ledger`, `redis`, `last_good`, `lake`; `default` where it had none"
    ),
    "percent": "the flag's percentage at that moment, 0 to 100",
    "bucket": "the user's bucket, 0 to 9999",
    "arm_assigned": "`base` or `candidate`: the arm that the split gave; gates read this one",
    "arm_served": (
        "the arm that answered; another one after a fallback, or where the response is kept that the request "
        "goes on from"
    ),
    "reason": "why: `split`, `targeting_match`, `disabled`, `stale`, `default`",
    "user_hash": "16 bytes, HMAC of the user key; the key itself is nowhere in the lake",
    "user_source": "where the user key was found",
    "model_requested": "the model name that the caller sent",
    "model_served": "the model name that was sent upstream",
    "upstream": "the upstream that answered",
    "stream": "whether the caller asked for a stream, or the answer was one",
    "status": "HTTP status that the caller got",
    "error_class": "a short word for what failed (all of them); NULL where nothing did, and where the caller left",
    "attempts": "every try at an upstream, in order, each with its own cost",
    "fallback_reason": (
        "why the base arm answered for the candidate: how the candidate's try ended (`upstream_error`, "
        "`timeout`, `malformed`), or `circuit_open`; NULL without a fallback"
    ),
    "latency_ms": "from the complete head to the last byte sent, milliseconds",
    "ttft_ms": "time to the first content, tool or reasoning delta, image or byte of sound, milliseconds",
    "upstream_ms": "from dispatch to the upstream's last byte, milliseconds",
    "overhead_ms": "the rest of the latency: the gateway's own, waits in line for a place included, milliseconds",
    "output_ms": "from the first to the last delta, milliseconds",
    "input_tokens": "tokens of the request, cached ones and audio included",
    "cached_tokens": "of these, read from the upstream's cache",
    "input_audio_tokens": "of these, audio",
    "output_tokens": "tokens of the answer, reasoning and audio included",
    "reasoning_tokens": "of these, reasoning",
    "output_audio_tokens": "of these, audio",
    "usage_source": "`reported` by the upstream, `estimated` from the deltas seen, or `missing`",
    "cost_usd": "what the answer cost, USD; NULL when unknown",
    "cost_unknown": (
        "why it is unknown: `no_price`, `no_usage`, `unclear_usage`, or what the price lacks: "
        "`no_audio_price`, `no_image_price`, `no_cache_price`, `no_duration_price`, `no_tier_price`, "
        "`no_long_context_price`. See cost"
    ),
    "price_version": (
        "the hash of all prices that were in force when the request was sent to a model, also when none of "
        "them was its own"
    ),
    "finish_reason": "why the model ended, in its own word",
    "purpose": "`live`, `shadow`, `eval`, `judge`, `probe`",
    "tags": "from the caller's `x-turnout-tags`",
    "trace_id": "W3C trace id, 32 hexadecimal digits; NULL where there is none: see traces",
    "span_id": "this request's span id, 16 hexadecimal digits",
    "parent_span_id": "the caller's span id",
}

FEEDBACK: Mapping[str, str] = {
    "worker": "name of the worker process that took it",
    "boot": "which start of that worker",
    "feedback_id": "the row's key, a UUIDv7; the caller saw it as `id`",
    "seq": "1, 2, 3, ... within one `worker` and `boot`, without gaps; requests have numbers of their own",
    "received_at": "when it came; UTC, microseconds, no zone in the type",
    "application": "whose key sent it",
    "request_id": "the request that it names; NULL where it names one by its answer's id",
    "response_id": "the answer's own id that it names; NULL where it names a request",
    "thumb": "`up`, `down`",
    "rating": "1 to 5",
    "signal": "`regenerated`, `copied`, `edited`",
}

CONTENT: Mapping[str, str] = {
    "worker": "name of the worker process that saw it",
    "boot": "which start of that worker",
    "kind": "`request`, `answer`, `comment`",
    "seq": "1, 2, 3, ... within one `worker` and `boot`; a number that is missing was lost",
    "application": "whose it is",
    "captured_at": "when its request came, or the comment; UTC",
    "expires_at": "when its time is over; UTC",
    "body": (
        "a request as the caller sent it, an answer as the caller got it (a stream's events one after the "
        "other), a comment's text; `decode(body)` shows text"
    ),
    "size_bytes": "how long the whole was",
    "is_truncated": "whether `body` is only its beginning: 1,040,384 bytes at most are kept",
    "request_id": "the request; of a comment, if its feedback names one",
    "response_id": "the answer's own id; of a comment, if its feedback names one",
    "feedback_id": "the comment's feedback",
    "endpoint": "which endpoint of the API",
    "content_type": "the body's media type",
    "user_hash": "as in requests; NULL of comments, whose user is their request's",
}

JOINED: Mapping[str, str] = {
    "feedback_at": "when the thumb or rating came that counts for this request; NULL where there is none",
    "feedback_thumb": "that thumb: `up`, `down`",
    "feedback_rating": "that rating: 1 to 5",
    "feedback_signals": "the signals that count for this request, each once: `copied`, `edited`, `regenerated`",
}
"""What an export adds to a request, of the feedback that counts."""

FATE: Mapping[str, str] = {
    "status": "what became of it: `joined` (it counts), `superseded`, `foreign`, `ambiguous`, `expired`, `unmatched`",
    "request_id": "the request that it is about; NULL where it fits none, or more than one",
}
"""What an export adds to a piece of feedback, or says in other words."""

_UNITS = {"percent": "percent, 0 to 100", "bucket": "0 to 9999", "feedback_rating": "1 to 5", "rating": "1 to 5"}
_BY_ENDING = {
    "_ms": "milliseconds",
    "_usd": "US dollars",
    "_bytes": "bytes",
    "_at": "UTC, microseconds",
    "_tokens": "tokens",
}


def unit_of(name: str) -> str | None:
    """Return the unit in which a column counts; None where it counts nothing."""
    return _UNITS.get(name) or next((unit for ending, unit in _BY_ENDING.items() if name.endswith(ending)), None)
