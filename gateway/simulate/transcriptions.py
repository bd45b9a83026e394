"""`POST /v1/audio/transcriptions` and `/v1/audio/translations`: a text that the sound's size alone decides. Pure.

Whisper models, and `verbose_json`, are billed by duration, all others by tokens; a translation reports nothing.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from gateway.errors import BadRequestError
from gateway.simulate import form, strict
from gateway.simulate.reply import (
    EVENTS_CONTENT,
    JSON_CONTENT,
    Asked,
    Bill,
    Endpoint,
    Frame,
    Lot,
    Received,
    Reply,
    encode,
    event,
    wanted_tokens,
)
from gateway.simulate.wire import tokens_of
from gateway.simulate.words import WRAP, answer_tokens

BYTES_PER_SECOND = 32_000
"""A sound's length is its bytes divided by this and rounded up, whatever it is."""
TOKENS_PER_SECOND = 10
_TEXT_CONTENT = b"text/plain; charset=utf-8"


class AudioRequest(Asked, kw_only=True):
    """The form of a transcription or translation; `sound_bytes` is the size of the uploaded file."""

    sound_bytes: int
    language: str | None = None
    prompt: str | None = None
    response_format: Literal["json", "text", "srt", "verbose_json", "vtt"] | None = None
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None
    timestamp_granularities: list[Literal["word", "segment"]] | None = None

    @property
    def seconds(self) -> int:
        """Return how long the sound is."""
        return -(-self.sound_bytes // BYTES_PER_SECOND)


def read(received: Received) -> AudioRequest:
    """Read a request.

    Raises:
        BadRequestError: a field is wrong, or no sound is uploaded; `param` names it.
    """
    given = form.read(received)
    sound = given.file("file")
    if not sound.content:
        message = "Audio file is too short. The uploaded 'file' is empty."
        raise BadRequestError(message, param="file")
    fields = {**given.fields, "sound_bytes": len(sound.content)}
    request = strict.convert(fields, AudioRequest, "transcription")
    if request.timestamp_granularities and request.response_format != "verbose_json":
        message = "'timestamp_granularities' needs 'response_format': 'verbose_json'."
        raise BadRequestError(message, param="timestamp_granularities")
    return request


def read_translation(received: Received) -> AudioRequest:
    """Read a request that is never streamed.

    Raises:
        BadRequestError: as `read`.
    """
    request = read(received)
    if request.stream:
        message = "Translations are not streamed; leave 'stream' out."
        raise BadRequestError(message, param="stream")
    return request


def transcribed(request: AudioRequest, lot: Lot) -> Reply:
    """Write down what nobody said."""
    tokens = _tokens(request, lot)
    usage, bill = _usage(request, len(tokens))
    if request.stream:
        return Reply(
            bill=bill,
            frames=_frames(tokens, usage, lot.model.tokens_per_chunk),
            content_type=EVENTS_CONTENT,
            longest=len(tokens),
        )
    return _written(request, tokens, bill, task="transcribe", usage=usage)


def translated(request: AudioRequest, lot: Lot) -> Reply:
    """Translate what nobody said."""
    tokens = _tokens(request, lot)
    _, bill = _usage(request, len(tokens))
    return _written(request, tokens, bill, task="translate", usage=None)


def _tokens(request: AudioRequest, lot: Lot) -> list[str]:
    most = max(request.seconds * TOKENS_PER_SECOND, 2)
    count = min(wanted_tokens(request, lot.model, lot.output_tokens), most)
    return answer_tokens(count, lot.rng.randrange(WRAP), good=lot.good)


def _usage(request: AudioRequest, output: int) -> tuple[dict[str, Any], Bill]:
    if "whisper" in request.model or request.response_format == "verbose_json":
        return {"type": "duration", "seconds": request.seconds}, Bill(output=output)
    audio, text = request.seconds * TOKENS_PER_SECOND, tokens_of((request.prompt or "").encode())
    usage = {
        "type": "tokens",
        "input_tokens": audio + text,
        "input_token_details": {"audio_tokens": audio, "text_tokens": text},
        "output_tokens": output,
        "total_tokens": audio + text + output,
    }
    return usage, Bill(input=audio + text, output=output)


def _frames(tokens: list[str], usage: dict[str, Any], size: int) -> list[Frame]:
    made: list[Frame] = []
    for at in range(0, len(tokens), size):
        piece = tokens[at : at + size]
        made.append(Frame(event({"type": "transcript.text.delta", "delta": "".join(piece)}), at, at + len(piece)))
    done = {"type": "transcript.text.done", "text": "".join(tokens), "usage": usage}
    return [*made, Frame(event(done), len(tokens), len(tokens))]


def _written(request: AudioRequest, tokens: list[str], bill: Bill, *, task: str, usage: dict[str, Any] | None) -> Reply:
    text, length = "".join(tokens), request.seconds
    told = {} if usage is None else {"usage": usage}
    if request.response_format == "verbose_json":
        body = encode({"task": task, **_verbose(request, tokens), **told})
    elif request.response_format in {None, "json"}:
        body = encode({"text": text, **told})
    elif request.response_format == "srt":
        body = f"1\n00:00:00,000 --> {_clock(length)},000\n{text}\n\n".encode()
    elif request.response_format == "vtt":
        body = f"WEBVTT\n\n00:00:00.000 --> {_clock(length)}.000\n{text}\n\n".encode()
    else:
        body = f"{text}\n".encode()
    plain = request.response_format in {"text", "srt", "vtt"}
    return Reply(bill=bill, body=body, content_type=_TEXT_CONTENT if plain else JSON_CONTENT, longest=len(tokens))


def _verbose(request: AudioRequest, tokens: list[str]) -> dict[str, Any]:
    length = float(request.seconds)
    segment = {
        "id": 0,
        "seek": 0,
        "start": 0.0,
        "end": length,
        "text": "".join(tokens),
        "tokens": list(range(len(tokens))),
        "temperature": 0.0,
        "avg_logprob": -0.1,
        "compression_ratio": 1.0,
        "no_speech_prob": 0.01,
    }
    told: dict[str, Any] = {"language": request.language or "english", "duration": length, "text": "".join(tokens)}
    wanted = request.timestamp_granularities or ["segment"]
    if "segment" in wanted:
        told["segments"] = [segment]
    if "word" in wanted:
        each = length / max(len(tokens), 1)
        told["words"] = [
            {"word": word.strip(), "start": round(place * each, 3), "end": round((place + 1) * each, 3)}
            for place, word in enumerate(tokens)
        ]
    return told


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


TRANSCRIPTIONS = Endpoint(read, transcribed)
TRANSLATIONS = Endpoint(read_translation, translated)
