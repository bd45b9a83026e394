"""What a model says it consumed. Pure: reads OpenAI's `usage` object, invents nothing.

The law: counts that cannot be, or that contradict each other, are marked, so that no cost is made of them.

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

    `output` is None where none was reported. `is_clear` is False where what was reported cannot be: a part that is
    larger than its whole and was cut to it, a total of other tokens, or counts of which none is kept.
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
    is_clear: bool = True


UNCLEAR = Usage(input=None, output=None, is_clear=False)
"""What was reported, and tells nothing."""


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
    total_tokens: int | None = None
    prompt_tokens_details: _InputParts | None = None
    completion_tokens_details: _OutputParts | None = None
    input_tokens_details: _InputParts | None = None
    output_tokens_details: _OutputParts | None = None
    input_token_details: _InputParts | None = None
    seconds: float | None = None


def reported(wire: WireUsage, *, has_choices: bool = False) -> Usage | None:
    """Return the counts that the upstream reported; None when there is no input count.

    An answer with choices has output; any other that reports its input as the total has none, as embeddings have.
    """
    if _contradicts(wire):
        return UNCLEAR
    total_in = wire.prompt_tokens or (wire.prompt_tokens if wire.input_tokens is None else wire.input_tokens)
    total_out = wire.completion_tokens or (wire.completion_tokens if wire.output_tokens is None else wire.output_tokens)
    if total_in is None:
        return _duration(wire)
    if not 0 <= total_in <= _MOST_TOKENS or not 0 <= (total_out or 0) <= _MOST_TOKENS:
        return UNCLEAR
    if total_out is None and wire.total_tokens == total_in and not has_choices:
        total_out = 0
    return _with_parts(wire, total_in, total_out)


def _contradicts(wire: WireUsage) -> bool:
    """Tell whether both spellings are used, and differ; one that is all 0 beside another is not used."""
    if not (wire.prompt_tokens or wire.completion_tokens) or not (wire.input_tokens or wire.output_tokens):
        return False
    pairs = (
        (wire.prompt_tokens, wire.input_tokens),
        (wire.completion_tokens, wire.output_tokens),
        (_counts(wire.prompt_tokens_details), _counts(wire.input_tokens_details)),
        (_counts(wire.completion_tokens_details), _counts(wire.output_tokens_details)),
    )
    return any(one is not None and other is not None and one != other for one, other in pairs)


def _counts(parts: _InputParts | _OutputParts | None) -> list[object] | None:
    """Return parts to compare: one that is absent is 0."""
    return None if parts is None else [part or 0 for part in msgspec.structs.astuple(parts)]


def _with_parts(wire: WireUsage, total_in: int, total_out: int | None) -> Usage:
    into = wire.prompt_tokens_details or wire.input_tokens_details or wire.input_token_details or _InputParts()
    out = wire.completion_tokens_details or wire.output_tokens_details or _OutputParts()
    cached = _part(into.cached_tokens, total_in)
    written = _part(into.cache_write_tokens, total_in - cached)
    kept_long = into.cache_write_tokens_details.ttl_12h_tokens if into.cache_write_tokens_details else None
    made = total_out or 0
    return Usage(
        input=total_in,
        output=total_out,
        cached=cached,
        cache_creation=written,
        cache_creation_long=_part(kept_long, written),
        input_audio=_part(into.audio_tokens, total_in),
        input_image=_part(into.image_tokens, total_in),
        reasoning=_part(out.reasoning_tokens, made),
        output_audio=_part(out.audio_tokens, made),
        output_image=made if _is_image(wire) else _part(out.image_tokens, made),
        is_clear=_adds_up(wire.total_tokens, total_in, total_out)
        and _fit(total_in, into.audio_tokens, into.image_tokens)
        and _fit(total_in, into.cached_tokens)
        and _fit(total_in, into.cache_write_tokens)
        and _fit(into.cache_write_tokens or 0, kept_long)
        and (total_out is None or _fit(made, out.reasoning_tokens, out.audio_tokens, out.image_tokens)),
    )


def _adds_up(total: int | None, total_in: int, total_out: int | None) -> bool:
    """Tell whether no token was used that is neither input nor output: reasoning that is counted apart, say."""
    return not total or total_out is None or total == total_in + total_out


def _fit(whole: int, *parts: int | None) -> bool:
    """Tell whether parts that share no token are parts of a whole."""
    claimed = 0
    for part in parts:
        if part:
            if part < 0:
                return False
            claimed += part
    return claimed <= whole


def _duration(wire: WireUsage) -> Usage | None:
    if wire.seconds is None:
        return None
    if not 0 <= wire.seconds <= _MOST_SECONDS or wire.output_tokens is not None:
        return UNCLEAR
    return Usage(input=None, output=None, seconds=wire.seconds)


def _is_image(wire: WireUsage) -> bool:
    """Recognise what the image endpoints report without parts: there the whole output is image tokens."""
    into = wire.input_tokens_details
    return into is not None and into.image_tokens is not None and wire.output_tokens_details is None


def _part(count: int | None, whole: int) -> int:
    return min(max(count or 0, 0), whole)
