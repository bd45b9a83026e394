"""What a model says it consumed. Pure: reads OpenAI's `usage` object, invents nothing.

One reader for every endpoint's shape: chat, completions, embeddings, responses, images, speech and transcriptions.
Moderations report none.
"""

from __future__ import annotations

import msgspec

_MOST_TOKENS = 2**31 - 1
"""A count beyond an INTEGER column is nonsense, and no record may be lost to it."""
_MOST_SECONDS = 1e9


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of one answer, in tokens; every count is >= 0, and no part exceeds its whole.

    `cached`, `cache_creation`, `input_audio` and `input_image` are parts of `input`; `reasoning`, `output_audio` and
    `output_image` of `output`; `cache_creation_long` (kept for 12 hours) is a part of `cache_creation`. Where an
    upstream bills by duration, `input` and `output` are None and `seconds` is the length of the audio that was sent.
    Source: the `usage` object of OpenAI's endpoints, listed in `docs/cost.md`.
    """

    input: int | None
    output: int | None
    cached: int = 0
    cache_creation: int = 0
    cache_creation_long: int = 0
    reasoning: int = 0
    input_audio: int = 0
    output_audio: int = 0
    input_image: int = 0
    output_image: int = 0
    seconds: float | None = None


class _CacheWrites(msgspec.Struct):
    ttl_12h_tokens: int | None = None


class _InputParts(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_tokens_details: _CacheWrites | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class _OutputParts(msgspec.Struct):
    reasoning_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class WireUsage(msgspec.Struct):
    """OpenAI's `usage` in all its spellings, as it stands on the wire.

    `prompt_*` and `completion_*`: chat, completions, embeddings; `input_*` and `output_*`: responses, images, speech;
    `input_token_details` and `seconds`: transcriptions.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    prompt_tokens_details: _InputParts | None = None
    completion_tokens_details: _OutputParts | None = None
    input_tokens_details: _InputParts | None = None
    output_tokens_details: _OutputParts | None = None
    input_token_details: _InputParts | None = None
    seconds: float | None = None


def reported(wire: WireUsage) -> Usage | None:
    """Return the counts that the upstream reported, or None when there is no input count, or none to be believed."""
    total_in = wire.prompt_tokens if wire.prompt_tokens is not None else wire.input_tokens
    total_out = wire.completion_tokens if wire.completion_tokens is not None else wire.output_tokens
    if total_in is None:
        return _duration(wire)
    if not 0 <= total_in <= _MOST_TOKENS or not 0 <= (total_out or 0) <= _MOST_TOKENS:
        return None
    into = wire.prompt_tokens_details or wire.input_tokens_details or wire.input_token_details or _InputParts()
    out = wire.completion_tokens_details or wire.output_tokens_details or _OutputParts()
    cached = _part(into.cached_tokens, total_in)
    written = _part(into.cache_write_tokens, total_in - cached)
    kept_long = into.cache_write_tokens_details.ttl_12h_tokens if into.cache_write_tokens_details else None
    return Usage(
        input=total_in,
        output=total_out or 0,
        cached=cached,
        cache_creation=written,
        cache_creation_long=_part(kept_long, written),
        input_audio=_part(into.audio_tokens, total_in),
        input_image=_part(into.image_tokens, total_in),
        reasoning=_part(out.reasoning_tokens, total_out or 0),
        output_audio=_part(out.audio_tokens, total_out or 0),
        output_image=total_out or 0 if _is_image(wire) else _part(out.image_tokens, total_out or 0),
    )


def _duration(wire: WireUsage) -> Usage | None:
    if wire.seconds is None or not 0 <= wire.seconds <= _MOST_SECONDS or wire.output_tokens is not None:
        return None
    return Usage(input=None, output=None, seconds=wire.seconds)


def _is_image(wire: WireUsage) -> bool:
    """Recognise what the image endpoints report without parts: there the whole output is image tokens."""
    into = wire.input_tokens_details
    return into is not None and into.image_tokens is not None and wire.output_tokens_details is None


def _part(count: int | None, whole: int) -> int:
    return min(max(count or 0, 0), whole)
